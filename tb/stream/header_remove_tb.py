"""cocotb testbench of hdl.stream.HeaderRemove."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.stream import Packet, from_beats, remove_header

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset, start
from .beat_port import BeatSink, malformed, send_beats
from .header_port import HeaderSink, beat_count, length_pairs, random_packet

DATA_BYTES = int(os.environ["DATA_BYTES"])
MAX_HEADER_BYTES = int(os.environ["MAX_HEADER_BYTES"])
LATENCY = 3 if DATA_BYTES <= 16 else 4
LONGEST_CLAIM = (1 << MAX_HEADER_BYTES.bit_length()) - 1


class Runts:
    """Count the pulses of ``runt``."""

    def __init__(self, dut):
        self.dut = dut
        self.count = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.count += int(self.dut.runt.value)


async def attach(dut, source_stall=0.0, length_stall=0.0, sink_stall=0.0, header_stall=0.0):
    """Attach a driver to every stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    lengths = StreamSource(dut, "lengths", pause=chance(length_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    headers = HeaderSink(dut, "headers", MAX_HEADER_BYTES, pause=chance(header_stall))
    await start(dut)
    return source, lengths, sink, headers, Runts(dut)


async def exchange(dut, ports, pairs) -> list[Packet | None]:
    """Send packets with the lengths in ``pairs``, check all that leaves; return what remained."""
    source, lengths, sink, headers, runts = ports
    runts.count = 0
    removed, remaining = [], []
    for length, size in pairs:
        packet = random_packet(size)
        lengths.send_value(length)
        source.send(packet)
        header, rest = remove_header(length, packet)
        removed.append(header)
        remaining.append(rest)
    for number, header in enumerate(removed):
        assert await headers.received.get() == header, f"header {number}, {pairs[number]}"
    for number, packet in enumerate(remaining):
        if packet is not None:
            assert await sink.received.get() == packet, f"packet {number}, {pairs[number]}"
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
    assert headers.received.empty()
    assert runts.count == remaining.count(None)
    return remaining


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_length_off_every_packet_takes_the_beats_it_has(dut):
    """Back to back, one input beat is taken in every cycle, for every pair of lengths."""
    pairs = length_pairs(range(MAX_HEADER_BYTES + 1), range(1, 4 * DATA_BYTES + 1))
    ports = source, lengths, sink, headers, _ = await attach(dut)
    remaining = await exchange(dut, ports, pairs)
    beats = sum(beat_count(size, DATA_BYTES) for _, size in pairs)
    left = [packet for packet in remaining if packet is not None]
    assert source.accepted == source.span == beats
    assert lengths.accepted == headers.accepted == len(pairs)
    assert sink.accepted == sum(beat_count(len(packet.data), DATA_BYTES) for packet in left)
    assert max(sink.span, headers.span, lengths.span) <= beats


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Every first beat leaves a fixed time after the beat that holds its first byte."""
    ports = source, _, sink, headers, _ = await attach(dut)
    for length in sorted({0, 1, min(DATA_BYTES, MAX_HEADER_BYTES), MAX_HEADER_BYTES}):
        for port in (source, sink, headers):
            port.restart()
        await exchange(dut, ports, [(length, length + 2 * DATA_BYTES)])
        assert sink.first - source.first == LATENCY + 1 + length // DATA_BYTES
        assert headers.first - source.first == 1 + length // DATA_BYTES


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(
    source_stall=[0.0, 0.5],
    length_stall=[0.0, 0.8],
    sink_stall=[0.0, 0.5],
    header_stall=[0.0, 0.8],
)
async def packets_pass_under_stalls(dut, source_stall, length_stall, sink_stall, header_stall):
    """With random stalls anywhere, every packet loses its own header."""
    pairs = [
        (random.randint(0, MAX_HEADER_BYTES), random.randint(1, 4 * DATA_BYTES)) for _ in range(80)
    ]
    ports = await attach(dut, source_stall, length_stall, sink_stall, header_stall)
    await exchange(dut, ports, pairs)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def only_runts_leave_only_headers(dut):
    """Packets that lose all they have: a header and a pulse each, one beat a cycle, no packet."""
    ports = source, *_ = await attach(dut)
    sizes = [size for size in range(1, MAX_HEADER_BYTES + 1) for _ in range(3)]
    pairs = [(random.randint(size, MAX_HEADER_BYTES), size) for size in sizes]
    remaining = await exchange(dut, ports, pairs)
    assert remaining == [None] * len(pairs)
    assert source.span == source.accepted


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_length_beyond_the_maximum_is_removed(dut):
    """Every length that the field can hold is removed; bytes of the header may be lost."""
    source, lengths, sink, headers, _ = await attach(dut)
    for length in range(MAX_HEADER_BYTES, LONGEST_CLAIM + 1):
        packet, after = random_packet(length + 1), random_packet(1)
        lengths.send_value(length)
        lengths.send_value(0)
        source.send(packet)
        source.send(after)
        header = await headers.received.get()
        assert len(header) == length
        assert header[:MAX_HEADER_BYTES] == packet.data[:MAX_HEADER_BYTES]
        assert await headers.received.get() == b""
        assert await sink.received.get() == Packet(packet.data[length:], packet.error)
        assert await sink.received.get() == after


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_packets_leave_their_neighbours_alone(dut):
    """Each malformed packet makes one packet or runt, and those before and after it are right."""
    source = PacketSource(dut, "i", DATA_BYTES)
    lengths = StreamSource(dut, "lengths")
    sink = BeatSink(dut, "o", DATA_BYTES)
    headers = StreamSink(dut, "headers")
    await start(dut)
    runts = Runts(dut)
    count = 200
    marked = []
    for number in range(count):
        length = random.randint(0, MAX_HEADER_BYTES)
        lengths.send_value(length)
        if number % 2:
            send_beats(source, malformed(DATA_BYTES))
        else:
            packet = random_packet(MAX_HEADER_BYTES + random.randint(1, 4 * DATA_BYTES))
            source.send(packet)
            marked.append(remove_header(length, packet)[1])
    while not source.idle:
        await ClockCycles(dut.clk, 1)
    await ClockCycles(dut.clk, 10)
    assert headers.accepted == count
    assert sink.received.qsize() + runts.count == count
    arrived = []
    while not sink.received.empty():
        arrived.append(sink.received.get_nowait())
    for packet in marked:
        # Between two of these, at most one malformed packet.
        for _ in range(2):
            if well_formed(arrived[0]) == packet:
                break
            arrived.pop(0)
        assert well_formed(arrived.pop(0)) == packet


def well_formed(beats) -> Packet | None:
    """Packet that ``beats`` carry, or None."""
    try:
        return from_beats(beats, DATA_BYTES)
    except ValueError:
        return None


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=range(1, 9))
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time, the next length meets the next packet."""
    ports = source, lengths, sink, headers, _ = await attach(dut)
    for _ in range(4):
        lengths.send_value(MAX_HEADER_BYTES)
        source.send(random_packet(MAX_HEADER_BYTES + 2 * DATA_BYTES + 1))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, source, lengths, sink, headers)
    pairs = [(length % (MAX_HEADER_BYTES + 1), 2 + length) for length in range(4)]
    await exchange(dut, ports, pairs)
