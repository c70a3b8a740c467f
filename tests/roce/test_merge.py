# amaranth: UnusedElaboratable=no
"""Merge: parameter checks, and its cocotb testbench for some numbers of inputs."""

import pytest

from hdl.roce.merge import Merge
from tb.simulate import simulate

BITS = 16


@pytest.mark.parametrize("inputs", [2, 3, 7])
def test_merge(inputs, run_dir):
    simulate(
        Merge(shape=BITS, input_count=inputs),
        name="merge",
        testbench="tb.roce.merge_tb",
        run_dir=run_dir,
        env={"INPUTS": inputs, "BITS": BITS},
    )


def test_one_input_is_refused():
    with pytest.raises(ValueError, match="input_count must be 2 or more, not 1"):
        Merge(shape=BITS, input_count=1)
