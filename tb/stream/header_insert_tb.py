"""cocotb testbench of hdl.stream.HeaderInsert."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import from_beats, insert_header

from . import PacketSink, PacketSource, chance, reset, start
from .beat_port import BeatSink, malformed, send_beats
from .header_port import HeaderSource, beat_count, length_pairs, random_packet

DATA_BYTES = int(os.environ["DATA_BYTES"])
MAX_HEADER_BYTES = int(os.environ["MAX_HEADER_BYTES"])
LATENCY = 3 if DATA_BYTES <= 16 else 4
LONGEST_CLAIM = (1 << MAX_HEADER_BYTES.bit_length()) - 1


async def attach(dut, source_stall: float = 0, header_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to every stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    headers = HeaderSource(dut, "headers", MAX_HEADER_BYTES, pause=chance(header_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, headers, sink


async def exchange(dut, source, headers, sink, pairs) -> int:
    """Send headers and packets of the lengths in ``pairs``, check them; return the beats due."""
    expected = []
    for header_length, length in pairs:
        header, packet = random.randbytes(header_length), random_packet(length)
        headers.send(header)
        source.send(packet)
        expected.append(insert_header(header, packet))
    for number, packet in enumerate(expected):
        assert await sink.received.get() == packet, f"packet {number}, lengths {pairs[number]}"
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
    return sum(beat_count(len(packet.data), DATA_BYTES) for packet in expected)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_header_before_every_length_takes_the_beats_it_has(dut):
    """Back to back, one output beat leaves in every cycle, for every pair of lengths."""
    pairs = length_pairs(range(MAX_HEADER_BYTES + 1), range(1, 4 * DATA_BYTES + 1))
    source, headers, sink = await attach(dut)
    beats = await exchange(dut, source, headers, sink, pairs)
    assert sink.accepted == beats
    assert sink.span == beats


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Every first beat leaves a fixed time after its header, or its packet if no header is due."""
    source, headers, sink = await attach(dut)
    for header_length in sorted({0, 1, min(DATA_BYTES, MAX_HEADER_BYTES), MAX_HEADER_BYTES}):
        for port in (source, headers, sink):
            port.restart()
        await exchange(dut, source, headers, sink, [(header_length, 2 * DATA_BYTES)])
        assert sink.first - headers.first == LATENCY + 1
        assert source.first - headers.first == 1 + header_length // DATA_BYTES


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(
    source_stall=[0.0, 0.5], header_stall=[0.0, 0.8], sink_stall=[0.0, 0.5], count=[100]
)
async def packets_pass_under_stalls(dut, source_stall, header_stall, sink_stall, count):
    """With random stalls anywhere, every packet gets its own header."""
    pairs = [
        (random.randint(0, MAX_HEADER_BYTES), random.randint(1, 4 * DATA_BYTES))
        for _ in range(count)
    ]
    ports = await attach(dut, source_stall, header_stall, sink_stall)
    await exchange(dut, *ports, pairs)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_packets_leave_their_neighbours_alone(dut):
    """Each malformed packet makes one packet, and those before and after it are right."""
    source = PacketSource(dut, "i", DATA_BYTES)
    headers = HeaderSource(dut, "headers", MAX_HEADER_BYTES)
    sink = BeatSink(dut, "o", DATA_BYTES)
    await start(dut)
    expected = []
    for number in range(200):
        header = random.randbytes(random.randint(0, MAX_HEADER_BYTES))
        headers.send(header)
        if number % 2:
            send_beats(source, malformed(DATA_BYTES))
            expected.append(None)
        else:
            packet = random_packet(random.randint(1, 4 * DATA_BYTES))
            source.send(packet)
            expected.append(insert_header(header, packet))
    for packet in expected:
        beats = await sink.received.get()
        assert packet is None or from_beats(beats, DATA_BYTES) == packet
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_length_beyond_the_header_continues_it_with_zeros(dut):
    """Every length that the field can hold is defined."""
    source, headers, sink = await attach(dut)
    for length in range(MAX_HEADER_BYTES, LONGEST_CLAIM + 1):
        header = random.randbytes(MAX_HEADER_BYTES)
        packet, after = random_packet(DATA_BYTES + 1), random_packet(1)
        headers.send(header, length=length)
        headers.send(b"")
        source.send(packet)
        source.send(after)
        padded = header.ljust(length, b"\0")
        assert await sink.received.get() == insert_header(padded, packet)
        assert await sink.received.get() == after


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=range(1, 9))
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time, the next header meets the next packet."""
    source, headers, sink = await attach(dut)
    for _ in range(4):
        headers.send(random.randbytes(MAX_HEADER_BYTES))
        source.send(random_packet(3 * DATA_BYTES + 1))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, source, headers, sink)
    pairs = [(length % (MAX_HEADER_BYTES + 1), 1 + length) for length in range(4)]
    await exchange(dut, source, headers, sink, pairs)
