"""cocotb testbench of hdl.stream.SkidBuffer."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, Timer

from sim.stream import Packet, SkidBufferModel

from . import PacketSink, PacketSource, chance, start

DATA_BYTES = int(os.environ["DATA_BYTES"])


def packets_of(sizes) -> list[Packet]:
    """Random packets of ``sizes`` bytes, one in ten damaged."""
    return [Packet(random.randbytes(size), random.random() < 0.1) for size in sizes]


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to each stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, sink


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def every_length_passes(dut, source_stall, sink_stall):
    """Packets of 1 byte to four beats pass in order; without stalls, at one beat a cycle."""
    source, sink = await attach(dut, source_stall, sink_stall)
    packets = packets_of([*range(1, 4 * DATA_BYTES + 1), *[4 * DATA_BYTES] * 20])
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
    if not source_stall and not sink_stall:
        assert source.span == source.accepted
        assert sink.span == sink.accepted
        assert sink.first - source.first == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_stalled_buffer_takes_two_beats(dut):
    """With the output refused, as many beats are taken as the model holds."""
    stalled = True
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = PacketSink(dut, "o", DATA_BYTES, pause=lambda: stalled)
    await start(dut)
    for packet in packets_of([10 * DATA_BYTES]):
        source.send(packet)
        await ClockCycles(dut.clk, 10)
        assert source.accepted == SkidBufferModel().capacity
        stalled = False
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def no_path_crosses_it(dut):
    """Within a cycle, no change of an input changes an output."""
    dut.i__valid.value = 0
    dut.o__ready.value = 0
    await start(dut)
    edge = RisingEdge(dut.clk)
    for _ in range(200):
        await edge
        seen = set()
        for valid, ready in ((0, 0), (0, 1), (1, 0), (1, 1)):
            dut.i__valid.value = valid
            dut.o__ready.value = ready
            dut.i__payload.value = random.getrandbits(9 * DATA_BYTES + 2)
            await Timer(1, unit="ps")
            offered = int(dut.o__payload.value) if dut.o__valid.value else None
            seen.add((int(dut.i__ready.value), offered))
        assert len(seen) == 1
        dut.i__valid.value = random.getrandbits(1)
        dut.o__ready.value = random.getrandbits(1)
    # The next test's sink must not find an offer that its reset takes back.
    dut.i__valid.value = 0
    dut.o__ready.value = 1
    await ClockCycles(dut.clk, 4)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, that packet is gone and the next ones pass."""
    source, sink = await attach(dut, 0, 0.7)
    source.send(packets_of([8 * DATA_BYTES])[0])
    await ClockCycles(dut.clk, 5)
    dut.rst.value = 1
    source.flush()
    for _ in range(2):
        await ClockCycles(dut.clk, 1)
        sink.flush()
    dut.rst.value = 0
    packets = packets_of([DATA_BYTES] * 10)
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
