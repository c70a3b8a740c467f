# amaranth: UnusedElaboratable=no
"""AsyncQueue: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import AsyncQueue
from sim.stream import async_queue_capacity, lost_by_reset
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, depth", [(2, 16), (64, 32)])
def test_async_queue(data_bytes, depth, run_dir):
    simulate(
        AsyncQueue(data_bytes=data_bytes, depth=depth, i_domain="write", o_domain="read"),
        name="async_queue",
        testbench="tb.stream.async_queue_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DEPTH": depth},
    )


@pytest.mark.parametrize("depth", [2, 5, 6, 9, 16, 17, 512, 513, 514])
def test_capacity_is_at_least_depth(depth):
    queue = AsyncQueue(data_bytes=1, depth=depth, i_domain="a", o_domain="b")
    assert queue.capacity == async_queue_capacity(depth) >= depth


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="depth must be 2 or more, not 1"):
        AsyncQueue(data_bytes=8, depth=1, i_domain="a", o_domain="b")
    with pytest.raises(ValueError, match="must differ, not both be 'sync'"):
        AsyncQueue(data_bytes=8, depth=16, i_domain="sync", o_domain="sync")


def test_model_finds_what_a_reset_cost():
    taken = [3, 1, 4, 1, 5, 9]
    assert lost_by_reset(taken, taken) == range(6, 6)
    assert lost_by_reset(taken, [3, 1, 5, 9]) == range(2, 4)
    for wrong in ([3, 4, 5, 9], [3, 1, 9, 5], [*taken, 9], [3, 1, 7]):
        with pytest.raises(ValueError, match="not the beginning and the end"):
            lost_by_reset(taken, wrong)
