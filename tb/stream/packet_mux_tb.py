"""cocotb testbench of hdl.stream.PacketMux."""

import json
import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.stream import Packet, PacketMuxModel

from . import PacketSink, PacketSource, chance, reset, start

PORT_COUNT = int(os.environ["PORT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
POLICY = os.environ["POLICY"]
WEIGHTS = json.loads(os.environ["WEIGHTS"])
PACKETS = 20  # from each port


def random_packet(port: int) -> Packet:
    """Packet of 1 byte to 4 beats whose first byte names its port."""
    size = random.randint(1, 4 * DATA_BYTES)
    return Packet(bytes([port]) + random.randbytes(size - 1), error=random.random() < 0.1)


def model() -> PacketMuxModel:
    """Model of the device under test, as it is after reset."""
    return PacketMuxModel(PORT_COUNT, POLICY, WEIGHTS)


async def watch_grants(dut) -> None:
    """At each packet's first beat, the port is the model's choice among those that offer one."""
    expected = model()
    ports = [
        (dut[f"i__{n}__valid"], dut[f"i__{n}__ready"], dut[f"i__{n}__payload"])
        for n in range(PORT_COUNT)
    ]
    last_offset = 9 * DATA_BYTES  # data, keep, last, error
    edge = RisingEdge(dut.clk)
    serving = None
    while True:
        await edge
        if dut.rst.value:
            expected, serving = model(), None
            continue
        waiting = [n for n, (valid, _, _) in enumerate(ports) if valid.value]
        taken = [n for n in waiting if ports[n][1].value]
        assert len(taken) <= 1, f"ports {taken} are served at once"
        for port in taken:
            if serving is None:
                serving = expected.grant(waiting)
            assert port == serving, f"served {port}, the model {serving} of {waiting}"
            if int(ports[port][2].value) >> last_offset & 1:
                serving = None


async def attach(dut, *, source_pause, sink_pause):
    """Attach a driver to every stream and release reset."""
    sources = [
        PacketSource(dut, f"i__{port}", DATA_BYTES, pause=source_pause)
        for port in range(PORT_COUNT)
    ]
    sink = PacketSink(dut, "o", DATA_BYTES, tag=dut.o_port, pause=sink_pause)
    cocotb.start_soon(watch_grants(dut))
    await start(dut)
    return sources, sink


async def expect_all(dut, sink, queues):
    """Each port's packets arrive whole, unchanged and in order, and nothing after them."""
    arrived = [[] for _ in range(PORT_COUNT)]
    for _ in range(sum(map(len, queues))):
        port, packet = await sink.received.get()
        arrived[port].append(packet)
    assert arrived == queues
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.0, 0.5])
async def saturated_ports_share_in_model_order(dut, sink_stall):
    """With every port backlogged, the order is exactly the model's."""
    queues = [[random_packet(port) for _ in range(PACKETS)] for port in range(PORT_COUNT)]
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(sink_stall))
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    for expected in model().merge(queues):
        assert await sink.received.get() == expected


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(source_stall=[0.0, 0.1, 0.9], sink_stall=[0.0, 0.5])
async def every_port_keeps_its_order(dut, source_stall, sink_stall):
    """With random stalls, each port's packets arrive whole, unchanged and in order."""
    queues = [[random_packet(port) for _ in range(PACKETS)] for port in range(PORT_COUNT)]
    sources, sink = await attach(
        dut, source_pause=chance(source_stall), sink_pause=chance(sink_stall)
    )
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    await expect_all(dut, sink, queues)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes(dut):
    """Every length from 1 byte to four beats, damaged or not, at one beat a cycle."""
    lengths = [
        [length for length in range(1, 4 * DATA_BYTES + 1) if length % PORT_COUNT == port]
        for port in range(PORT_COUNT)
    ]
    queues = [
        [Packet(random.randbytes(length), error=error) for length in own for error in (False, True)]
        for own in lengths
    ]
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(0))
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    await expect_all(dut, sink, queues)
    assert sink.span == sink.accepted, "a cycle was lost"


@cocotb.test(timeout_time=200, timeout_unit="us")
async def long_run_shares_are_exact(dut):
    """While all are backlogged, the packets of each port are exactly its share."""
    shares = {"round_robin": [1] * PORT_COUNT, "weighted": WEIGHTS}
    shares["strict"] = [1] + [0] * (PORT_COUNT - 1)
    share = shares[POLICY]
    rounds = 25
    # Some have long packets and some short ones: it is packets that are shared out.
    queues = [
        [
            Packet(random.randbytes(1 + port % 2 * random.randint(0, 2 * DATA_BYTES)))
            for _ in range(rounds * max(share) + 2)
        ]
        for port in range(PORT_COUNT)
    ]
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(0))
    for source, queue in zip(sources, queues, strict=True):
        for packet in queue:
            source.send(packet)
    counts = [0] * PORT_COUNT
    for number in range(1, rounds * sum(share) + 1):
        port, packet = await sink.received.get()
        assert packet == queues[port][counts[port]]
        counts[port] += 1
        if number % sum(share) == 0:
            assert counts == [number // sum(share) * own for own in share]
    assert sink.span == sink.accepted, "a cycle was lost"
    while sum(counts) < sum(map(len, queues)):
        port, packet = await sink.received.get()
        assert packet == queues[port][counts[port]]
        counts[port] += 1


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_lone_port_has_all_cycles(dut):
    """Serve a port that is alone in every cycle, whatever its weight."""
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(0))
    for port, source in enumerate(sources):
        sink.restart()
        queue = [random_packet(port) for _ in range(PACKETS)]
        for packet in queue:
            source.send(packet)
        for packet in queue:
            assert await sink.received.get() == (port, packet)
        assert sink.span == sink.accepted


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_within_a_packet_forgets_it(dut):
    """After a reset in mid-packet, the mux begins anew: other ports' packets are whole."""
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=chance(0.5))
    for _ in range(10):
        for port, source in enumerate(sources):
            source.send(Packet(bytes([port]) * 20 * DATA_BYTES))
        await ClockCycles(dut.clk, random.randint(3, 20 * DATA_BYTES))
        await reset(dut, *sources, sink)
        queues = [[random_packet(port) for _ in range(2)] for port in range(PORT_COUNT)]
        for source, queue in zip(sources, queues, strict=True):
            for packet in queue:
                source.send(packet)
        await expect_all(dut, sink, queues)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_offer_does_not_wait_for_ready(dut):
    """Give an offer to a sink that is ready only once it has seen one."""
    waits = True
    sources, sink = await attach(dut, source_pause=chance(0), sink_pause=lambda: waits)
    packet = random_packet(PORT_COUNT - 1)
    sources[-1].send(packet)
    await ClockCycles(dut.clk, 5)
    assert dut.o__valid.value
    waits = False
    assert await sink.received.get() == (PORT_COUNT - 1, packet)
