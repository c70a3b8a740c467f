"""cocotb testbench of hdl.stream.PacketJoin."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import from_beats, join_packets

from . import PacketSink, PacketSource, chance, reset, start
from .beat_port import BeatSink, malformed, send_beats
from .header_port import beat_count, length_pairs, random_packet

DATA_BYTES = int(os.environ["DATA_BYTES"])
LATENCY = 3 if DATA_BYTES <= 16 else 4


async def attach(dut, a_stall: float = 0, b_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to every stream and release reset."""
    a = PacketSource(dut, "a", DATA_BYTES, pause=chance(a_stall))
    b = PacketSource(dut, "b", DATA_BYTES, pause=chance(b_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return a, b, sink


async def exchange(dut, a, b, sink, pairs) -> int:
    """Send packets of the lengths in ``pairs``, check what leaves; return the beats due."""
    expected = []
    for a_length, b_length in pairs:
        first, second = random_packet(a_length), random_packet(b_length)
        a.send(first)
        b.send(second)
        expected.append(join_packets(first, second))
    for number, packet in enumerate(expected):
        assert await sink.received.get() == packet, f"packet {number}, lengths {pairs[number]}"
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
    return sum(beat_count(len(packet.data), DATA_BYTES) for packet in expected)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_pair_of_lengths_takes_the_beats_it_has(dut):
    """Back to back, one output beat leaves in every cycle, for every pair of lengths."""
    lengths = range(1, 4 * DATA_BYTES + 1)
    a, b, sink = await attach(dut)
    beats = await exchange(dut, a, b, sink, length_pairs(lengths, lengths, at_most=5000))
    assert sink.accepted == beats
    assert sink.span == beats


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Every first beat leaves a fixed time after the first input beat."""
    a, b, sink = await attach(dut)
    for length in (1, DATA_BYTES, DATA_BYTES + 1):
        for port in (a, b, sink):
            port.restart()
        await exchange(dut, a, b, sink, [(length, 1)])
        assert sink.first - a.first == LATENCY


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(a_stall=[0.0, 0.6], b_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def packets_pass_under_stalls(dut, a_stall, b_stall, sink_stall):
    """With random stalls anywhere, the packets of a pair meet."""
    longest = 4 * DATA_BYTES
    pairs = [(random.randint(1, longest), random.randint(1, longest)) for _ in range(100)]
    ports = await attach(dut, a_stall, b_stall, sink_stall)
    await exchange(dut, *ports, pairs)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def either_error_damages_the_joined_packet(dut):
    """All four pairs of errors, at lengths that end in one beat, and in several."""
    a, b, sink = await attach(dut)
    for length in (1, DATA_BYTES, 3 * DATA_BYTES):
        for errors in ((False, False), (False, True), (True, False), (True, True)):
            for port, error in zip((a, b), errors, strict=True):
                packet = random_packet(length)
                port.send(type(packet)(packet.data, error))
            joined = await sink.received.get()
            assert joined.error == any(errors)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_packets_leave_their_neighbours_alone(dut):
    """Only the pair with a malformed packet is spoiled."""
    a = PacketSource(dut, "a", DATA_BYTES)
    b = PacketSource(dut, "b", DATA_BYTES)
    sink = BeatSink(dut, "o", DATA_BYTES)
    await start(dut)
    expected = []
    for number in range(200):
        packets = [random_packet(random.randint(1, 4 * DATA_BYTES)) for _ in range(2)]
        spoiled = [(), (0,), (), (1,), (), (0, 1)][number % 6]
        for which, port in enumerate((a, b)):
            if which in spoiled:
                send_beats(port, malformed(DATA_BYTES))
            else:
                port.send(packets[which])
        expected.append(None if spoiled else join_packets(*packets))
    for packet in expected:
        beats = await sink.received.get()
        assert packet is None or from_beats(beats, DATA_BYTES) == packet
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=range(1, 9))
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time, the next packets of both inputs are a pair."""
    a, b, sink = await attach(dut)
    for _ in range(4):
        a.send(random_packet(2 * DATA_BYTES + 1))
        b.send(random_packet(2 * DATA_BYTES))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, a, b, sink)
    await exchange(dut, a, b, sink, [(1, 1), (2, 1), (1, 2), (3, 3)])
