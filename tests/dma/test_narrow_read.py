# amaranth: UnusedElaboratable=no
"""NarrowRead: parameter checks, and its cocotb testbench."""

import pytest

from hdl.dma import NarrowRead
from sim.dma import beats_before_responses
from tb.simulate import simulate


@pytest.mark.parametrize(("i_bytes", "o_bytes"), [(32, 8), (32, 16)])
def test_narrow_read(i_bytes, o_bytes, run_dir):
    simulate(
        NarrowRead(i_bytes=i_bytes, o_bytes=o_bytes),
        name="narrow_read",
        testbench="tb.dma.narrow_read_tb",
        run_dir=run_dir,
        env={"I_BYTES": i_bytes, "O_BYTES": o_bytes},
    )


@pytest.mark.parametrize(("i_bytes", "o_bytes"), [(8, 8), (24, 8)])
def test_refuses(i_bytes, o_bytes):
    with pytest.raises(ValueError):
        NarrowRead(i_bytes=i_bytes, o_bytes=o_bytes)


def test_model_by_hand():
    assert beats_before_responses([8, 0, 9, 1], 8) == [1, 1, 3, 4]
