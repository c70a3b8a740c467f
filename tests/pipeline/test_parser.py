# amaranth: UnusedElaboratable=no
"""Parser: RTL against model on the campaign, at the sizes of the products."""

import json

import pytest

from hdl.nic import PRODUCTS
from hdl.pipeline import Parser
from tb.simulate import simulate


def run(profile, frames, other_graph, run_dir):
    config = PRODUCTS[profile]
    simulate(
        Parser(data_bytes=config.data_bytes, header_count=config.header_count, slots=config.slots),
        name="parser",
        testbench="tb.pipeline.parser_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": config.data_bytes,
            "HEADER_COUNT": config.header_count,
            "SLOTS": json.dumps(dict(config.slots)),
            "FRAMES": frames,
            "OTHER_GRAPH": other_graph,
        },
    )


@pytest.mark.parametrize("profile,count", [("proto", 20_000), ("card100", 4000), ("card400", 4000)])
def test_parser(profile, count, frames_file, other_graph, run_dir):
    run(profile, frames_file(count, seed=1), other_graph, run_dir)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
@pytest.mark.parametrize("profile", PRODUCTS)
def test_parser_long(profile, seed, frames_file, other_graph, run_dir):
    run(profile, frames_file(20_000, seed), other_graph, run_dir)


@pytest.mark.parametrize(
    "parameters,message",
    [
        ({"header_count": 0}, "header_count must be 1 to 16, not 0"),
        ({"header_count": 17}, "header_count must be 1 to 16, not 17"),
        ({"slots": {}}, "slots must be 1 to 7, not 0"),
        ({"slots": {"rdma": 65}}, "slots must have 1 to 64 bytes"),
        ({"data_bytes": 3}, "data_bytes must be a power of two, not 3"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Parser(**{"data_bytes": 8, "header_count": 8, "slots": {"rdma": 40}, **parameters})
