# amaranth: UnusedElaboratable=no
"""Queue: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Queue
from tb.simulate import simulate


@pytest.mark.parametrize("depth, width", [(2, 8), (6, 8), (64, 8)])
def test_queue(depth, width, run_dir):
    simulate(
        Queue(shape=width, depth=depth),
        name="queue",
        testbench="tb.stream.queue_tb",
        run_dir=run_dir,
        env={"DEPTH": depth, "WIDTH": width},
    )


@pytest.mark.parametrize("depth", [-1, 0, 1])
def test_depth_is_checked(depth):
    with pytest.raises(ValueError, match=f"depth must be 2 or more, not {depth}"):
        Queue(shape=8, depth=depth)


def test_memory_is_bounded():
    with pytest.raises(ValueError, match="65535 rows at most, not 65536"):
        Queue(shape=8, depth=65538)
    assert Queue(shape=8, depth=65537).capacity == 65537
