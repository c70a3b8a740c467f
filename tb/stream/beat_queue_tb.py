"""cocotb testbench of hdl.stream.BeatQueue."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import Packet, QueueModel, to_beats

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance, start
from .packet_port import pack

DATA_BYTES = int(os.environ["DATA_BYTES"])
DEPTH = int(os.environ["DEPTH"])


def packet_of(size: int) -> Packet:
    """Random packet of ``size`` bytes, one in ten damaged."""
    return Packet(random.randbytes(size), error=random.random() < 0.1)


def random_packets(count: int) -> list[Packet]:
    """Packets of 1 byte to 4 beats."""
    return [packet_of(random.randint(1, 4 * DATA_BYTES)) for _ in range(count)]


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to each stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, sink


async def exchange(source: PacketSource, sink: PacketSink, packets: list[Packet]) -> None:
    """Send ``packets`` and check that they arrive."""
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_length_passes(dut):
    """Packets of 1 byte to four beats pass, back to back and at one beat a cycle."""
    source, sink = await attach(dut)
    await exchange(source, sink, [packet_of(size) for size in range(1, 4 * DATA_BYTES + 1)])
    assert source.span == source.accepted
    assert sink.span == sink.accepted


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def packets_pass_under_stalls(dut, source_stall, sink_stall):
    """With stalls on both sides, packets and their error marks arrive in order."""
    source, sink = await attach(dut, source_stall, sink_stall)
    await exchange(source, sink, random_packets(200))
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def it_holds_its_depth(dut):
    """With the output stalled, exactly the beats that the model takes are taken."""
    stalled = True
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = PacketSink(dut, "o", DATA_BYTES, pause=lambda: stalled)
    await start(dut)
    packet = packet_of((DEPTH + 40) * 2 * DATA_BYTES)
    source.send(packet)
    model = QueueModel(DEPTH)
    expected = sum(model.push(beat) for beat in to_beats(packet, DATA_BYTES))
    await ClockCycles(dut.clk, expected + 20)
    assert source.accepted == expected >= DEPTH
    stalled = False
    assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_beats_pass_unchanged(dut):
    """Beats that break the rules of packets pass bit by bit: no field is looked at."""
    source = StreamSource(dut, "i", pause=chance(0.3))
    sink = StreamSink(dut, "o", pause=chance(0.3))
    await start(dut)
    values = [random.getrandbits(9 * DATA_BYTES + 2) for _ in range(100)]
    for value in values:
        source.send_value(value)
    for value in values:
        assert await sink.received.get() == value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, that packet is gone and the next ones pass."""
    source, sink = await attach(dut, 0, 0.5)
    for beat in list(to_beats(packet_of(8 * DATA_BYTES), DATA_BYTES))[:5]:
        source.send_value(pack(beat, DATA_BYTES))
    await ClockCycles(dut.clk, 7)
    dut.rst.value = 1
    source.flush()
    for _ in range(2):
        await ClockCycles(dut.clk, 1)
        sink.flush()
    dut.rst.value = 0
    await exchange(source, sink, random_packets(20))
