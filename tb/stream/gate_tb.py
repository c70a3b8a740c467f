"""cocotb testbench of hdl.stream.Gate."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.stream import GateModel, Packet, to_beats

from . import PacketSink, PacketSource, chance, start
from .packet_port import pack, unpack

DATA_BYTES = int(os.environ["DATA_BYTES"])


def packets_of(sizes) -> list[Packet]:
    """Random packets of ``sizes`` bytes, one in ten damaged."""
    return [Packet(random.randbytes(size), random.random() < 0.1) for size in sizes]


async def check(dut) -> None:
    """Compare ``open`` and the beats taken with the model, every cycle."""
    model = GateModel()
    edge = RisingEdge(dut.clk)
    while True:
        await edge
        if dut.rst.value:
            model = GateModel()
            continue
        is_open = model.is_open(bool(dut.enable.value))
        assert bool(dut.open.value) == is_open
        if dut.i__valid.value and dut.i__ready.value:
            assert is_open, "a beat passed the closed gate"
            model.take(unpack(int(dut.i__payload.value), DATA_BYTES))


async def attach(dut, source_stall: float = 0, sink_stall: float = 0, enable: int = 1):
    """Attach drivers and checker and release reset."""
    dut.enable.value = enable
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    cocotb.start_soon(check(dut))
    await start(dut)
    return source, sink


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5], closed=[0.0, 0.2, 0.8])
async def packets_pass_whole(dut, source_stall, sink_stall, closed):
    """While ``enable`` toggles, packets of every length pass whole; open, at a beat a cycle."""
    source, sink = await attach(dut, source_stall, sink_stall)

    async def toggle():
        while True:
            await ClockCycles(dut.clk, 1)
            dut.enable.value = int(random.random() >= closed)

    cocotb.start_soon(toggle())
    packets = packets_of([*range(1, 4 * DATA_BYTES + 1), *[4 * DATA_BYTES] * 20])
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
    if not source_stall and not sink_stall and not closed:
        assert sink.span == sink.accepted == source.span
        assert sink.first - source.first == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def it_closes_after_the_packet(dut):
    """After closing within a packet, exactly that packet passes; opened again, the next ones."""
    source, sink = await attach(dut)
    packets = packets_of([6 * DATA_BYTES] * 3)
    for packet in packets:
        source.send(packet)
    while source.accepted < 3:
        await ClockCycles(dut.clk, 1)
    dut.enable.value = 0
    await ClockCycles(dut.clk, 30)
    assert source.accepted == 6
    assert [sink.received.get_nowait() for _ in range(sink.received.qsize())] == packets[:1]
    dut.enable.value = 1
    for packet in packets[1:]:
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, the gate is open only by ``enable``."""
    source, _ = await attach(dut)
    for beat in list(to_beats(packets_of([8 * DATA_BYTES])[0], DATA_BYTES))[:3]:
        source.send_value(pack(beat, DATA_BYTES))
    await ClockCycles(dut.clk, 6)
    assert dut.open.value
    dut.enable.value = 0
    await ClockCycles(dut.clk, 2)
    assert dut.open.value
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    source.send(Packet(b"\1"))
    await ClockCycles(dut.clk, 5)
    assert not dut.open.value
    assert source.accepted == 3
