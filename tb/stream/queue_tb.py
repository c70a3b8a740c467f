"""cocotb testbench of hdl.stream.Queue."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import QueueModel

from . import StreamSink, StreamSource, chance, start

DEPTH = int(os.environ["DEPTH"])
WIDTH = int(os.environ["WIDTH"])
SHALLOW = bool(int(os.environ["SHALLOW"]))
HALF_RATE = bool(int(os.environ["HALF_RATE"]))


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to each stream and release reset."""
    source = StreamSource(dut, "i", pause=chance(source_stall))
    sink = StreamSink(dut, "o", pause=chance(sink_stall))
    await start(dut)
    return source, sink


def numbered(count: int) -> list[int]:
    """Random payloads, no two in sequence alike."""
    values = [random.getrandbits(WIDTH) for _ in range(count)]
    return [value ^ (number & 1) for number, value in enumerate(values)]


async def exchange(source: StreamSource, sink: StreamSink, values: list[int]) -> None:
    """Send ``values`` and check that they arrive."""
    for value in values:
        source.send_value(value)
    for number, value in enumerate(values):
        assert await sink.received.get() == value, f"payload {number}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.3, 0.9], sink_stall=[0.0, 0.3, 0.9])
async def order_and_values_are_kept(dut, source_stall, sink_stall):
    """With stalls on both sides, every payload arrives once, unchanged and in order."""
    source, sink = await attach(dut, source_stall, sink_stall)
    await exchange(source, sink, numbered(3 * DEPTH + 100))
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_stalled_queue_takes_its_capacity(dut):
    """With the output stalled, exactly the model's payloads are taken; then all leave."""
    stalled = True
    source = StreamSource(dut, "i")
    sink = StreamSink(dut, "o", pause=lambda: stalled)
    await start(dut)
    for round_number in range(3):
        stalled = True
        await ClockCycles(dut.clk, 4)
        model = QueueModel(DEPTH, shallow=SHALLOW, half_rate=HALF_RATE)
        values = numbered(model.capacity + 5)
        source.restart()
        for value in values:
            source.send_value(value)
        await ClockCycles(dut.clk, 2 * len(values) + 10)
        expected = sum(model.push(value) for value in values)
        assert source.accepted == expected >= DEPTH, f"round {round_number}"
        stalled = False
        for value in values:
            assert await sink.received.get() == value


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(fill=[0, 1, 2, DEPTH // 2, DEPTH - 1, DEPTH])
async def one_payload_moves_each_cycle_at_any_fill(dut, fill):
    """From a start with ``fill`` payloads inside, both ports move one in every cycle.

    At half the rate, the output does so in every second one, and the input as there is room.
    """
    stalled = True
    source = StreamSource(dut, "i")
    sink = StreamSink(dut, "o", pause=lambda: stalled)
    await start(dut)
    values = numbered(4 * DEPTH + 50)
    for value in values[:fill]:
        source.send_value(value)
    await ClockCycles(dut.clk, fill + 8)
    stalled = False
    await ClockCycles(dut.clk, 2)
    source.restart()
    sink.restart()
    for value in values[fill:]:
        source.send_value(value)
    for value in values:
        assert await sink.received.get() == value
    if HALF_RATE:
        # What is behind the few that filled it may come a cycle late.
        assert 0 <= sink.span - (2 * sink.accepted - 1) <= (fill < 4)
        return
    assert source.span == source.accepted
    if fill >= 4:
        assert sink.span == sink.accepted


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency_is_as_promised(dut):
    """Through the empty queue, a payload is offered 3 cycles after it was taken; shallow, 2."""
    source, sink = await attach(dut)
    for _ in range(5):
        source.restart()
        sink.restart()
        await exchange(source, sink, numbered(1))
        assert sink.first - source.first == (2 if SHALLOW else 3)
        await ClockCycles(dut.clk, 3)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(count=[1, 2, 3, DEPTH])
async def reset_empties_it(dut, count):
    """After a reset with payloads inside, none of them leaves and the queue works."""
    source, sink = await attach(dut, sink_stall=1)
    for value in numbered(count):
        source.send_value(value)
    await ClockCycles(dut.clk, count + 5)
    dut.rst.value = 1
    source.flush()
    for _ in range(2):
        await ClockCycles(dut.clk, 1)
        sink.flush()
    sink.pause = chance(0)
    dut.rst.value = 0
    await exchange(source, sink, numbered(2 * DEPTH))
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
