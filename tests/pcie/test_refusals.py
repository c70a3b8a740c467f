# amaranth: UnusedElaboratable=no
"""Refusals: the cocotb testbench at two sizes, and parameter checks."""

import pytest

from hdl.pcie import Refusals
from tb.simulate import simulate


@pytest.mark.parametrize(("port_count", "segment_count"), [(2, 1), (8, 4)])
def test_refusals(port_count, segment_count, run_dir):
    simulate(
        Refusals(port_count=port_count, segment_count=segment_count),
        name="refusals",
        testbench="tb.pcie.refusals_tb",
        run_dir=run_dir,
        env={"PORT_COUNT": port_count, "SEGMENT_COUNT": segment_count},
    )


def test_refuses():
    with pytest.raises(ValueError, match="segments must be 1, 2 or 4, not 3"):
        Refusals(port_count=2, segment_count=3)
