# amaranth: UnusedElaboratable=no
"""Router: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import Router
from tb.simulate import simulate


def _simulate(port_count, segment_count, port, run_dir, configurations, seed=1):
    simulate(
        Router(port_count=port_count, segment_count=segment_count, port=port),
        name="router",
        testbench="tb.pcie.router_tb",
        run_dir=run_dir,
        env={
            "PORT_COUNT": port_count,
            "SEGMENT_COUNT": segment_count,
            "PORT": port,
            "CONFIGURATIONS": configurations,
        },
        seed=seed,
    )


_SIZES = [(3, 1, 0), (8, 4, 3)]


@pytest.mark.parametrize(("port_count", "segment_count", "port"), _SIZES)
def test_router(port_count, segment_count, port, run_dir):
    _simulate(port_count, segment_count, port, run_dir, configurations=60)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("port_count", "segment_count", "port"), [*_SIZES, (2, 1, 1), (5, 2, 0), (3, 2, 2), (8, 1, 7)]
)
def test_router_campaign(port_count, segment_count, port, seed, run_dir):
    _simulate(port_count, segment_count, port, run_dir, configurations=1500, seed=seed)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 1}, "port_count must be 2 to 8, not 1"),
        ({"port_count": 9}, "port_count must be 2 to 8, not 9"),
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"port": -1}, "port must be less than 4, not -1"),
        ({"port": 4}, "port must be less than 4, not 4"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Router(**{"port_count": 4, "segment_count": 1, "port": 0, **change})
