"""cocotb testbench of FrameMerge in front of FrameBuilder: two who send share a wire."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from tb.roce.frame_traffic import DATA_BYTES, Bench, Frame, random_frame

LATENCY = int(os.environ["LATENCY"])
INPUTS = ("__0", "__1")


def some_size() -> int:
    """Length of data that ends anywhere, not too long."""
    return random.choice([0, 1, random.randint(1, 2 * DATA_BYTES), random.randint(1, 300)])


async def take(bench: Bench, lanes: list[list[Frame]]) -> list[int]:
    """Exactly the frames of both lanes leave, each in order; which of them each one is."""
    order = []
    waiting = [list(lane) for lane in lanes]
    while any(waiting):
        found = await bench.sink.received.get()
        fits = [bool(some) and bench.expected(some[0]) == found for some in waiting]
        assert any(fits), f"frame {len(order)} is neither {[some[:1] for some in waiting]}"
        order.append(fits.index(True))
        waiting[order[-1]].pop(0)
    await ClockCycles(bench.dut.clk, 40)
    assert bench.sink.received.empty()
    return order


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(frames=[0.0, 0.9], data=[0.0, 0.6], sink=[0.0, 0.5])
async def frames_of_both_pass_under_stalls(dut, frames, data, sink):
    """With random stalls anywhere, each frame leaves whole, in its sender's order."""
    bench = await Bench.attach(dut, inputs=INPUTS, frames=frames, data=data, sink=sink)
    lanes = [[random_frame(some_size()) for _ in range(40)] for _ in range(2)]
    for number, lane in enumerate(lanes):
        bench.send(*lane, number=number)
    await take(bench, lanes)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(size=[0, 1, 20, 64, None, 1024])
async def frames_of_both_follow_each_other_without_a_gap(dut, size):
    """With both backlogged, they alternate, and take as many cycles as beats."""
    bench = await Bench.attach(dut, inputs=INPUTS)
    count = 12 if size == 1024 else 80
    lanes = [
        [random_frame(some_size() if size is None else size) for _ in range(count)]
        for _ in range(2)
    ]
    for number, lane in enumerate(lanes):
        bench.send(*lane, number=number)
    order = await take(bench, lanes)
    assert order in ([0, 1] * count, [1, 0] * count)
    assert bench.sink.span == bench.sink.accepted == bench.beats(*lanes[0], *lanes[1])
    first = min(source.first for source in bench.frames)
    assert bench.sink.first - first == LATENCY
