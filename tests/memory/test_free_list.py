# amaranth: UnusedElaboratable=no
"""FreeList: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.memory import FreeList
from tb.simulate import simulate


@pytest.mark.parametrize(("count", "checked"), [(2, True), (5, True), (64, False)])
def test_free_list(count, checked, run_dir):
    simulate(
        FreeList(count=count, checked=checked),
        name="free_list",
        testbench="tb.memory.free_list_tb",
        run_dir=run_dir,
        env={"COUNT": count, "CHECKED": checked},
    )


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_refused_parameters(count):
    with pytest.raises(ValueError, match=r"count must be 2 or more"):
        FreeList(count=count, checked=False)
