"""cocotb testbench of hdl.stream.PacketMux."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import Packet, PacketMuxModel

from . import PacketSink, PacketSource, chance, start

PORT_COUNT = int(os.environ["PORT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])


def random_packet(port: int) -> Packet:
    """Packet of 1 byte to 4 beats whose first byte names its port."""
    size = random.randint(1, 4 * DATA_BYTES)
    return Packet(bytes([port]) + random.randbytes(size - 1), error=random.random() < 0.1)


async def attach(dut, *, source_pause, sink_pause):
    """Attach a driver to every stream and release reset."""
    sources = [
        PacketSource(dut, f"i__{port}", DATA_BYTES, pause=source_pause)
        for port in range(PORT_COUNT)
    ]
    sink = PacketSink(dut, "o", DATA_BYTES, tag=dut.o_port, pause=sink_pause)
    await start(dut)
    return sources, sink


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.0, 0.5])
async def saturated_ports_share_in_model_order(dut, sink_stall):
    """With every port backlogged, the order is exactly the model's."""
    queues = [[random_packet(port) for _ in range(20)] for port in range(PORT_COUNT)]
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(sink_stall))
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    for expected in PacketMuxModel(PORT_COUNT).merge(queues):
        assert await sink.received.get() == expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.1, 0.9], sink_stall=[0.0, 0.5])
async def every_port_keeps_its_order(dut, source_stall, sink_stall):
    """With random stalls, each port's packets arrive whole, unchanged and in order."""
    queues = [[random_packet(port) for _ in range(20)] for port in range(PORT_COUNT)]
    sources, sink = await attach(
        dut, source_pause=chance(source_stall), sink_pause=chance(sink_stall)
    )
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    arrived = [[] for _ in range(PORT_COUNT)]
    for _ in range(sum(map(len, queues))):
        port, packet = await sink.received.get()
        arrived[port].append(packet)
    assert arrived == queues
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()
