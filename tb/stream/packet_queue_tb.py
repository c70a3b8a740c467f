"""cocotb testbench of hdl.stream.PacketQueue."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.stream import Packet, PacketFate, PacketQueueModel, to_beats

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance, start
from .packet_port import pack, unpack

DATA_BYTES = int(os.environ["DATA_BYTES"])
DEPTH = int(os.environ["DEPTH"])
ROWS = PacketQueueModel(DATA_BYTES, DEPTH).rows


def packet_of(size: int, error: bool = False) -> Packet:
    """Random packet of ``size`` bytes."""
    return Packet(random.randbytes(size), error)


def random_packets(count: int, beats: int, errors: float = 0) -> list[Packet]:
    """Packets of 1 byte to ``beats`` beats, a part of them damaged."""
    sizes = [random.randint(1, beats * DATA_BYTES) for _ in range(count)]
    return [packet_of(size, random.random() < errors) for size in sizes]


class FateMonitor:
    """Record the fate of every packet, and the rows it found, as the events tell.

    Attributes
    ----------
    fates : list of PacketFate
        In the order of the packets.
    held : list of list of int
        For each packet and each of its beats, beats of earlier packets in the whole queue.
    """

    def __init__(self, dut):
        self.dut = dut
        self.fates: list[PacketFate] = []
        self.held: list[list[int]] = []
        cocotb.start_soon(self._run())

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        inside = 0
        counts: list[int] = []
        decided = False
        while True:
            await edge
            pulses = {
                PacketFate.DROPPED_ERROR: bool(self.dut.dropped_error.value),
                PacketFate.DROPPED_FULL: bool(self.dut.dropped_full.value),
            }
            assert sum(pulses.values()) <= decided, "an event without a packet, or two for one"
            if decided:
                fate = next((name for name, pulse in pulses.items() if pulse), PacketFate.KEPT)
                self.fates.append(fate)
                self.held.append(counts)
                inside += len(counts) if fate is PacketFate.KEPT else 0
                counts = []
            decided = False
            if self.dut.i__valid.value:
                assert self.dut.i__ready.value, "the input was refused"
                counts.append(inside)
                decided = unpack(int(self.dut.i__payload.value), DATA_BYTES).last
            if self.dut.o__valid.value and self.dut.o__ready.value:
                inside -= 1
                assert inside >= 0, "a beat left before its packet was whole"


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach drivers and monitor and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    monitor = FateMonitor(dut)
    await start(dut)
    return source, sink, monitor


async def settle(dut, source, sink) -> None:
    """Wait until all that was queued has come in, and what is kept has left."""
    while not source.idle:
        await ClockCycles(dut.clk, 10)
    before = -1
    while before != sink.accepted:
        before = sink.accepted
        await ClockCycles(dut.clk, 200)


def drain(sink: PacketSink) -> list[Packet]:
    """Packets that have arrived."""
    return [sink.received.get_nowait() for _ in range(sink.received.qsize())]


def kept(packets: list[Packet], fates: list[PacketFate]) -> list[Packet]:
    """Packets that leave."""
    pairs = zip(packets, fates, strict=True)
    return [packet for packet, fate in pairs if fate is PacketFate.KEPT]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_length_passes(dut):
    """Packets of 1 byte to four beats pass, back to back and at one beat a cycle."""
    source, sink, monitor = await attach(dut)
    packets = [packet_of(size) for size in range(4 * DATA_BYTES, 0, -1)]
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == packets
    assert set(monitor.fates) == {PacketFate.KEPT}
    assert source.span == source.accepted
    assert sink.span == sink.accepted


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(errors=[0.1, 0.5, 0.9])
async def damaged_packets_are_dropped(dut, errors):
    """Exactly the packets without error leave, whole and in order."""
    source, sink, monitor = await attach(dut)
    packets = random_packets(200, 4, errors)
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == [packet for packet in packets if not packet.error]
    expected = [PacketFate.DROPPED_ERROR if p.error else PacketFate.KEPT for p in packets]
    assert monitor.fates == expected


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.3, 0.9], sink_stall=[0.0, 0.3, 0.9])
async def what_leaves_is_what_was_kept(dut, source_stall, sink_stall):
    """Under stalls, every packet is kept or dropped whole, and never without a reason.

    Of the beats in the queue, two or fewer are outside the memory: so the model bounds each fate
    from both sides.
    """
    source, sink, monitor = await attach(dut, source_stall, sink_stall)
    packets = random_packets(150, min(ROWS, 12), 0.2)
    packets += random_packets(20, 2 * ROWS, 0.2)
    random.shuffle(packets)
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == kept(packets, monitor.fates)
    model = PacketQueueModel(DATA_BYTES, DEPTH)
    for packet, fate, held in zip(packets, monitor.fates, monitor.held, strict=True):
        worst = model.fate(packet, [ROWS - count for count in held])
        best = model.fate(packet, [ROWS - max(0, count - 2) for count in held])
        assert fate in (worst, best), f"{fate} with {held} held and {len(packet.data)} bytes"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_stalled_queue_keeps_what_fits(dut):
    """With the output stalled, fates are exactly the model's; then what was kept leaves."""
    stalled = True
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = PacketSink(dut, "o", DATA_BYTES, pause=lambda: stalled)
    monitor = FateMonitor(dut)
    await start(dut)
    packets = random_packets(12, max(2, ROWS // 3), 0.1)
    packets += [packet_of(beats * DATA_BYTES) for beats in (ROWS + 1, ROWS, 2, 1, 1, 1)]
    for packet in packets:
        source.send(packet)
        while not source.idle:
            await ClockCycles(dut.clk, 1)
        await ClockCycles(dut.clk, 5)
    model = PacketQueueModel(DATA_BYTES, DEPTH)
    assert monitor.fates == model.fates_into_a_stalled_queue(packets)
    stalled = False
    await settle(dut, source, sink)
    assert drain(sink) == kept(packets, monitor.fates)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(excess=[0, 1])
async def one_row_more_than_the_longest_packet_is_enough(dut, excess):
    """With an output never refused, nothing is dropped if and only if there is that row."""
    source, sink, monitor = await attach(dut)
    longest = ROWS - 1 + excess
    packets = [packet_of(longest * DATA_BYTES)] * 2 + random_packets(60, longest)
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert source.span == source.accepted
    assert (PacketFate.DROPPED_FULL in monitor.fates) == bool(excess)
    assert drain(sink) == kept(packets, monitor.fates)
    if not excess:
        assert sink.span == sink.accepted


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_packet_longer_than_the_memory_is_dropped(dut):
    """Too long a packet is dropped, its neighbours pass; ROWS beats still fit."""
    source, sink, _ = await attach(dut)
    beats = [1, ROWS + 1, 1, 5 * ROWS, 2]
    packets = [packet_of(count * DATA_BYTES) for count in beats]
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == packets[::2]
    packet = packet_of(ROWS * DATA_BYTES)
    source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == [packet]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_input_blocks_nothing(dut):
    """Without a last beat nothing leaves and nothing stops; other fields pass bit by bit."""
    source = StreamSource(dut, "i")
    sink = StreamSink(dut, "o", pause=chance(0.2))
    await start(dut)
    layout = [random.getrandbits(9 * DATA_BYTES) for _ in range(2)]
    last, error = 1 << 9 * DATA_BYTES, 2 << 9 * DATA_BYTES
    source.send_value(layout[0] | error)  # error without last means nothing
    source.send_value(layout[1] | last)
    for _ in range(3 * ROWS):
        source.send_value(random.getrandbits(9 * DATA_BYTES))
    await ClockCycles(dut.clk, 4 * ROWS + 20)
    assert source.idle
    assert [sink.received.get_nowait() for _ in range(sink.received.qsize())] == [
        layout[0],
        layout[1] | last,
    ]
    source.send_value(last)
    source.send_value(layout[0] | last)
    assert await sink.received.get() == layout[0] | last


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency_is_three_cycles_from_the_last_beat(dut):
    """Through an empty queue, the first beat is offered three cycles after the last was taken."""
    source, sink, _ = await attach(dut)
    for beats in (1, 2, 3):
        source.restart()
        sink.restart()
        source.send(packet_of(beats * DATA_BYTES))
        await sink.received.get()
        assert sink.first - source.last == 3
        await ClockCycles(dut.clk, 5)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(beats=[1, 3, 5])
async def reset_in_mid_packet(dut, beats):
    """After a reset within a packet and with packets inside, only later packets leave."""
    source, sink, _ = await attach(dut, sink_stall=1)
    source.send(packet_of(2 * DATA_BYTES))
    for beat in list(to_beats(packet_of(8 * DATA_BYTES), DATA_BYTES))[:beats]:
        source.send_value(pack(beat, DATA_BYTES))
    await ClockCycles(dut.clk, 8)
    dut.rst.value = 1
    source.flush()
    for _ in range(2):
        await ClockCycles(dut.clk, 1)
        sink.flush()
    sink.pause = chance(0)
    dut.rst.value = 0
    packets = random_packets(20, 4)
    for packet in packets:
        source.send(packet)
    await settle(dut, source, sink)
    assert drain(sink) == packets
