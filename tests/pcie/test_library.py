"""Patches of cocotbext-pcie and RtlLink, through two ports joined by a queue."""

import pytest

from tb.pcie.wire import Wire
from tb.simulate import simulate


@pytest.mark.parametrize("segments", [pytest.param(1, marks=pytest.mark.long), 4])
def test_library(segments, run_dir):
    simulate(
        Wire(segment_count=segments),
        name="wire",
        testbench="tb.pcie.library_tb",
        run_dir=run_dir,
        env={"SEGMENTS": segments},
    )
