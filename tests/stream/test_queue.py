# amaranth: UnusedElaboratable=no
"""Queue: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Queue
from tb.simulate import simulate


@pytest.mark.parametrize(
    "depth, width, shallow, half_rate",
    [
        (2, 8, False, False),
        (6, 8, False, False),
        (64, 8, False, False),
        (2, 8, True, False),
        (5, 8, True, False),
        (16, 8, True, False),
        (2, 8, False, True),
        (6, 8, False, True),
        (2, 8, True, True),
        (16, 8, True, True),
    ],
)
def test_queue(depth, width, shallow, half_rate, run_dir):
    simulate(
        Queue(shape=width, depth=depth, shallow=shallow, half_rate=half_rate),
        name="queue",
        testbench="tb.stream.queue_tb",
        run_dir=run_dir,
        env={
            "DEPTH": depth,
            "WIDTH": width,
            "SHALLOW": int(shallow),
            "HALF_RATE": int(half_rate),
        },
    )


@pytest.mark.parametrize("depth", [-1, 0, 1])
def test_depth_is_checked(depth):
    with pytest.raises(ValueError, match=f"depth must be 2 or more, not {depth}"):
        Queue(shape=8, depth=depth)


def test_one_kind_of_memory():
    with pytest.raises(ValueError, match="a shallow queue is not in block RAM"):
        Queue(shape=8, depth=4, block=True, shallow=True)


def test_memory_is_bounded():
    with pytest.raises(ValueError, match="65535 rows at most, not 65536"):
        Queue(shape=8, depth=65538)
    assert Queue(shape=8, depth=65537).capacity == 65537
