"""ProgrammableParser: its graph is replaced through the registers."""

import json

from hdl.pipeline import ProgrammableParser
from tb.simulate import simulate


def test_programmable_parser(frames_file, other_graph, run_dir):
    sizes = {"data_bytes": 8, "header_count": 5, "slots": {"rdma": 12}}
    simulate(
        ProgrammableParser(**sizes),
        name="programmable_parser",
        testbench="tb.pipeline.programmable_parser_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": 8,
            "HEADER_COUNT": 5,
            "SLOTS": json.dumps(sizes["slots"]),
            "FRAMES": frames_file(600, seed=1),
            "OTHER_GRAPH": other_graph,
        },
    )
