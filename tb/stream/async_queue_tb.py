"""cocotb testbench of hdl.stream.AsyncQueue, whose domains are ``write`` and ``read``."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer, gather

from sim.stream import Packet, async_queue_capacity, lost_by_reset

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance

DATA_BYTES = int(os.environ["DATA_BYTES"])
DEPTH = int(os.environ["DEPTH"])
# Periods in ps of the input's and the output's clock: unrelated, both ways, and equal.
PERIODS = [(2000, 2000), (2000, 3022), (3022, 2000), (2000, 14146), (14146, 2000)]


def random_packets(count: int) -> list[Packet]:
    """Packets of 1 byte to 4 beats."""
    sizes = [random.randint(1, 4 * DATA_BYTES) for _ in range(count)]
    return [Packet(random.randbytes(size), random.random() < 0.1) for size in sizes]


async def start(dut, periods: tuple[int, int]) -> None:
    """Start both clocks at a random phase and hold both resets for two cycles of the slower."""
    dut.write_rst.value = 1
    dut.read_rst.value = 1
    Clock(dut.write_clk, periods[0], unit="ps").start()
    await Timer(random.randrange(2, periods[1], 2), unit="ps")
    Clock(dut.read_clk, periods[1], unit="ps").start()
    await Timer(2 * max(periods), unit="ps")
    await release(dut)


async def release(dut) -> None:
    """End both resets, each at an edge of its clock."""
    await RisingEdge(dut.write_clk)
    dut.write_rst.value = 0
    await RisingEdge(dut.read_clk)
    dut.read_rst.value = 0


async def attach(dut, periods, source_stall: float = 0, sink_stall: float = 0):
    """Attach drivers, start the clocks and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall), clk=dut.write_clk)
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall), clk=dut.read_clk)
    await start(dut, periods)
    return source, sink


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS, stalls=[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)])
async def packets_pass_between_any_clocks(dut, periods, stalls):
    """Between unrelated clocks and under stalls, packets arrive whole, unchanged, in order."""
    source, sink = await attach(dut, periods, *stalls)
    packets = random_packets(2 * DEPTH)
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
    await ClockCycles(dut.read_clk, 20)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS)
async def every_length_passes(dut, periods):
    """Packets of 1 byte to four beats pass back to back."""
    source, sink = await attach(dut, periods)
    packets = [Packet(random.randbytes(size)) for size in range(1, 4 * DATA_BYTES + 1)]
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS)
async def the_slower_clock_moves_a_beat_each_cycle(dut, periods):
    """Saturated, the port with the slower clock moves a beat in every cycle."""
    source, sink = await attach(dut, periods)
    await ClockCycles(dut.write_clk, 40)
    await ClockCycles(dut.read_clk, 40)
    packets = [Packet(random.randbytes(DATA_BYTES)) for _ in range(4 * DEPTH + 200)]
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
    slower = sink if periods[1] > periods[0] else source
    assert slower.span == slower.accepted == len(packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS)
async def a_stalled_queue_takes_its_capacity(dut, periods):
    """With the output stalled, exactly the model's beats are taken; then all leave."""
    stalled = True
    source = PacketSource(dut, "i", DATA_BYTES, clk=dut.write_clk)
    sink = PacketSink(dut, "o", DATA_BYTES, pause=lambda: stalled, clk=dut.read_clk)
    await start(dut, periods)
    packet = Packet(random.randbytes(2 * (DEPTH + 40) * DATA_BYTES))
    source.send(packet)
    await ClockCycles(dut.write_clk, 2 * DEPTH + 60)
    await ClockCycles(dut.read_clk, 20)
    await ClockCycles(dut.write_clk, 20)
    assert source.accepted == async_queue_capacity(DEPTH) >= DEPTH
    stalled = False
    assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS)
async def latency_is_five_or_six_cycles(dut, periods):
    """Through an empty queue, a beat is offered at the fifth or sixth edge after it was taken."""
    source, sink = await attach(dut, periods)
    for _ in range(8):
        await ClockCycles(dut.write_clk, 40)
        await ClockCycles(dut.read_clk, random.randint(20, 40))
        before, taken = sink.cycle, source.accepted
        source.send(Packet(b"\1"))
        while source.accepted == taken:
            await RisingEdge(dut.write_clk)
            before = sink.cycle
        await sink.received.get()
        assert sink.last - before in (5, 6)


class RecordingSource(StreamSource):
    """Source that notes the values that were taken."""

    def __init__(self, dut, name, **kwargs):
        self.taken: list[int] = []
        super().__init__(dut, name, **kwargs)

    def _count(self):
        super()._count()
        self.taken.append(int(self.payload.value))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(periods=PERIODS, side=["write", "read", "both"], sink_stall=[0.0, 0.8])
async def reset_of_one_side_empties_both(dut, periods, side, sink_stall):
    """One cycle of reset on one side costs beats in one run; 12 slow cycles later, none."""
    source = RecordingSource(dut, "i", clk=dut.write_clk)
    sink = StreamSink(dut, "o", pause=chance(sink_stall), clk=dut.read_clk)
    await start(dut, periods)
    bits = 9 * DATA_BYTES + 2

    async def allow_offers_to_be_taken_back():
        edge = RisingEdge(dut.read_clk)
        while True:
            await edge
            sink.flush()

    async def reset(name: str):
        reset, clk = dut[f"{name}_rst"], dut[f"{name}_clk"]
        await ClockCycles(clk, 1)
        reset.value = 1
        await ClockCycles(clk, 1)
        reset.value = 0

    cocotb.start_soon(allow_offers_to_be_taken_back())
    costs = 0
    for _ in range(3):
        source.taken.clear()
        # Odd multiples of a counter: no two alike, all bits in use.
        values = [number * 0x9E3779B97F4A7C15 % (1 << bits) for number in range(1, 2 * DEPTH + 100)]
        for value in values:
            source.send_value(value)
        await Timer(random.randrange(10, DEPTH) * max(periods), unit="ps")
        resets = ["write", "read"] if side == "both" else [side]
        await gather(*(reset(name) for name in resets))
        await Timer(12 * max(periods), unit="ps")
        recovered = len(source.taken)
        while not source.idle:
            await ClockCycles(dut.write_clk, 10)
        given, quiet = [], 0
        while quiet < 20:
            await ClockCycles(dut.read_clk, 10)
            quiet = quiet + 1 if sink.received.empty() else 0
            while not sink.received.empty():
                given.append(sink.received.get_nowait())
        lost = lost_by_reset(values, given)
        assert not lost or lost.stop <= recovered, f"lost {lost} after {recovered} at recovery"
        assert source.taken == values
        costs += len(lost)
    if sink_stall:
        assert costs, "no reset came while a beat was inside"
