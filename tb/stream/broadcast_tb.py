"""cocotb testbench of hdl.stream.Broadcast."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import Packet, broadcast_packets

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset, start

PORT_COUNT = int(os.environ["PORT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
LENGTHS = range(1, 4 * DATA_BYTES + 1)


def packet_of(length: int) -> Packet:
    """Random packet of ``length`` bytes, one in ten damaged."""
    return Packet(random.randbytes(length), error=random.random() < 0.1)


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to each stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sinks = [
        PacketSink(dut, f"o__{port}", DATA_BYTES, pause=chance(sink_stall))
        for port in range(PORT_COUNT)
    ]
    await start(dut)
    return source, sinks


async def exchange(dut, source, sinks, packets) -> None:
    """Send ``packets``; check that all arrive at each output and nothing comes after them."""
    for packet in packets:
        source.send(packet)
    for sink, expected in zip(sinks, broadcast_packets(packets, PORT_COUNT), strict=True):
        for packet in expected:
            assert await sink.received.get() == packet
    await ClockCycles(dut.clk, 10)
    assert all(sink.received.empty() for sink in sinks)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes_at_full_rate(dut):
    """Every length from 1 byte to four beats, with a beat in every cycle."""
    source, sinks = await attach(dut)
    await exchange(dut, source, sinks, [packet_of(length) for length in LENGTHS])
    for port in (source, *sinks):
        assert port.span == port.accepted, "a cycle was lost"


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def every_output_gets_every_packet(dut, source_stall, sink_stall):
    """With stalls of each output's own, every output gets all packets whole and in order."""
    source, sinks = await attach(dut, source_stall, sink_stall)
    await exchange(dut, source, sinks, [packet_of(random.choice(LENGTHS)) for _ in range(60)])


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(slow=list(range(PORT_COUNT)))
async def one_that_stops_stops_all_within_a_beat(dut, slow):
    """While one output waits, the others get at most the beat it refuses, and none twice."""
    waits = True
    source, sinks = await attach(dut)
    sinks[slow].pause = lambda: waits
    packets = [packet_of(length) for length in LENGTHS]
    await ClockCycles(dut.clk, 2)
    for packet in packets:
        source.send(packet)
    await ClockCycles(dut.clk, 50)
    for port, sink in enumerate(sinks):
        assert sink.accepted == (0 if port == slow else 1)
    waits = False
    for sink in sinks:
        for packet in packets:
            assert await sink.received.get() == packet


@cocotb.test(timeout_time=200, timeout_unit="us")
async def malformed_beats_pass_unchanged(dut):
    """Beats that break the rules of packets pass bit by bit: no field is looked at."""
    source = StreamSource(dut, "i", pause=chance(0.3))
    sinks = [StreamSink(dut, f"o__{port}", pause=chance(0.3)) for port in range(PORT_COUNT)]
    await start(dut)
    values = [random.getrandbits(9 * DATA_BYTES + 2) for _ in range(100)]
    for value in values:
        source.send_value(value)
    for sink in sinks:
        for value in values:
            assert await sink.received.get() == value


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, it is gone without a trace in the next ones."""
    source, sinks = await attach(dut, 0.2, 0.2)
    for _ in range(10):
        source.send(packet_of(100 * DATA_BYTES))
        await ClockCycles(dut.clk, random.randint(3, 30))
        await reset(dut, source, *sinks)
        packets = [packet_of(random.choice(LENGTHS)) for _ in range(5)]
        await exchange(dut, source, sinks, packets)
