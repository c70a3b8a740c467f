"""cocotb testbench of hdl.stream.PacketDemux."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.stream import Packet, PacketDemuxModel

from . import PacketSink, PacketSource, StreamSource, chance, reset, start

PORT_COUNT = int(os.environ["PORT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
LENGTHS = range(1, 4 * DATA_BYTES + 1)
NUMBERS = 1 << PORT_COUNT.bit_length()  # that an element of ``ports`` can be


def packet_of(length: int) -> Packet:
    """Random packet of ``length`` bytes, one in ten damaged."""
    return Packet(random.randbytes(length), error=random.random() < 0.1)


class Bench:
    """The demultiplexer with a driver at every stream, and its model."""

    def __init__(self, dut, packet_stall=0.0, port_stall=0.0, sink_stall=0.0):
        self.dut = dut
        self.source = PacketSource(dut, "i", DATA_BYTES, pause=chance(packet_stall))
        self.ports = StreamSource(dut, "ports", pause=chance(port_stall))
        self.sinks = [
            PacketSink(dut, f"o__{port}", DATA_BYTES, pause=chance(sink_stall))
            for port in range(PORT_COUNT)
        ]
        self.model = PacketDemuxModel(PORT_COUNT)
        self.dropped_count = 0
        cocotb.start_soon(self._count_dropped())

    async def _count_dropped(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.dropped_count += int(self.dut.dropped.value)

    async def exchange(self, packets, ports) -> None:
        """Send ``packets`` to ``ports`` and compare what becomes of them with the model."""
        dropped_before = self.dropped_count
        self.model = PacketDemuxModel(PORT_COUNT)
        self.model.route(packets, ports)
        for packet, port in zip(packets, ports, strict=True):
            self.source.send(packet)
            self.ports.send_value(port)
        while not (self.source.idle and self.ports.idle):
            await RisingEdge(self.dut.clk)
        for port, sink in enumerate(self.sinks):
            for expected in self.model.given.get(port, []):
                assert await sink.received.get() == expected
        await ClockCycles(self.dut.clk, 20)
        assert all(sink.received.empty() for sink in self.sinks)
        assert self.dropped_count - dropped_before == self.model.dropped_count


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes_at_full_rate(dut):
    """Every length from 1 byte to four beats, at one beat a cycle from output to output."""
    bench = Bench(dut)
    await start(dut)
    ports = [length % (PORT_COUNT + 1) for length in LENGTHS]
    await bench.exchange([packet_of(length) for length in LENGTHS], ports)
    assert bench.source.span == bench.source.accepted, "a cycle was lost"


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(packet_stall=[0.0, 0.5], port_stall=[0.0, 0.5, 0.9], sink_stall=[0.0, 0.5, 0.9])
async def packets_go_where_they_should(dut, packet_stall, port_stall, sink_stall):
    """With stalls on every stream, each packet leaves at its port or is dropped whole."""
    bench = Bench(dut, packet_stall, port_stall, sink_stall)
    await start(dut)
    packets = [packet_of(random.choice(LENGTHS)) for _ in range(60)]
    await bench.exchange(packets, [random.randrange(NUMBERS) for _ in packets])
    assert bench.model.dropped_count


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(number=list(range(PORT_COUNT, NUMBERS)))
async def no_port_drops_at_full_rate(dut, number):
    """Every number that is no port drops the packet, even while an output waits."""
    waits = True
    bench = Bench(dut)
    for sink in bench.sinks:
        sink.pause = lambda: waits
    await start(dut)
    bench.source.send(Packet(b"x"))
    bench.ports.send_value(0)
    await ClockCycles(dut.clk, 10)
    packets = [packet_of(length) for length in LENGTHS]
    for packet in packets:
        bench.source.send(packet)
        bench.ports.send_value(number)
    bench.source.restart()
    while not (bench.source.idle and bench.ports.idle):
        await RisingEdge(dut.clk)
    assert bench.source.span == bench.source.accepted, "a cycle was lost"
    await ClockCycles(dut.clk, 5)
    assert bench.dropped_count == len(packets)
    waits = False
    assert await bench.sinks[0].received.get() == Packet(b"x")
    await bench.exchange([packet_of(DATA_BYTES)], [PORT_COUNT - 1])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, it is gone without a trace in the next ones."""
    bench = Bench(dut, 0.2, 0.2, 0.2)
    await start(dut)
    for _ in range(10):
        bench.source.send(packet_of(100 * DATA_BYTES))
        bench.ports.send_value(random.randrange(NUMBERS))
        await ClockCycles(dut.clk, random.randint(3, 30))
        await reset(dut, bench.source, bench.ports, *bench.sinks)
        packets = [packet_of(random.choice(LENGTHS)) for _ in range(5)]
        await bench.exchange(packets, [random.randrange(NUMBERS) for _ in packets])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_offer_does_not_wait_for_ready(dut):
    """Give an offer to a sink that is ready only once it has seen one."""
    waits = True
    bench = Bench(dut)
    for sink in bench.sinks:
        sink.pause = lambda: waits
    await start(dut)
    for port, sink in enumerate(bench.sinks):
        waits = True
        await ClockCycles(dut.clk, 2)
        packet = packet_of(DATA_BYTES)
        bench.source.send(packet)
        bench.ports.send_value(port)
        await ClockCycles(dut.clk, 5)
        assert dut[f"o__{port}__valid"].value
        waits = False
        assert await sink.received.get() == packet
