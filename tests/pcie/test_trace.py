# amaranth: UnusedElaboratable=no
"""Tracer: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import Tracer
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("port_count", "segment_count", "port", "depth"), [(2, 1, 1, 5), (8, 4, 3, 16)]
)
def test_trace(port_count, segment_count, port, depth, run_dir):
    simulate(
        Tracer(port_count=port_count, segment_count=segment_count, port=port, depth=depth),
        name="tracer",
        testbench="tb.pcie.trace_tb",
        run_dir=run_dir,
        env={
            "PORT_COUNT": port_count,
            "SEGMENT_COUNT": segment_count,
            "PORT": port,
            "DEPTH": depth,
        },
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 9}, "port_count must be 2 to 8, not 9"),
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"port": 4}, "port must be less than 4, not 4"),
        ({"depth": 1}, "depth must be 2 or more, not 1"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Tracer(**{"port_count": 4, "segment_count": 1, "port": 0, "depth": 4, **change})
