"""cocotb testbench of hdl.stream.FromAxiStream (DIRECTION=from) and ToAxiStream (DIRECTION=to).

The other side of AXI4-Stream is cocotbext-axi's, found by the usual prefixes.
"""

import logging
import os
import random
from itertools import repeat
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from sim.stream import AxiBeat, FromAxiStreamModel, Packet, from_beats, to_axi_stream, to_beats

from . import PacketSink, PacketSource, chance, reset, start

DATA_BYTES = int(os.environ["DATA_BYTES"])
RECEIVES = os.environ["DIRECTION"] == "from"
LENGTHS = range(1, 4 * DATA_BYTES + 1)


def packet_of(length: int) -> Packet:
    """Random packet of ``length`` bytes, one in ten damaged."""
    return Packet(random.randbytes(length), error=random.random() < 0.1)


class AxiSide:
    """cocotbext-axi at the AXI end, as a source or a sink of ``Packet``."""

    def __init__(self, dut, stall: float):
        kind, prefix = (AxiStreamSource, "s_axis") if RECEIVES else (AxiStreamSink, "m_axis")
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.port: Any = kind(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst)
        if stall:
            self.port.set_pause_generator(random.random() < stall for _ in repeat(None))

    def send(self, packet: Packet) -> None:
        """Queue ``packet``; ``tuser`` is noise before the last beat."""
        self.send_beats(to_axi_stream(to_beats(packet, DATA_BYTES)))

    def send_beats(self, beats) -> None:
        """Queue a packet of AXI beats; those without ``last`` get a random ``tuser``."""
        data, keep, user = bytearray(), [], []
        for beat in beats:
            # cocotbext-axi wants all lanes of a beat, whether kept or not, but cuts a list of
            # lanes short where the last beat ends.
            lanes = beat.keep.bit_length() if beat.last and beat.keep else DATA_BYTES
            data += beat.data.to_bytes(DATA_BYTES, "little")[:lanes]
            keep += [beat.keep >> lane & 1 for lane in range(lanes)]
            user += [beat.user if beat.last else random.getrandbits(1)] * lanes
        self.port.send_nowait(AxiStreamFrame(bytes(data), tkeep=keep, tuser=user))

    async def receive(self) -> Packet:
        """Next packet; what is not full before the last beat fails the test."""
        frame = await self.port.recv(compact=False)
        kept = frame.tkeep.index(0) if 0 in frame.tkeep else len(frame.tkeep)
        assert kept > len(frame.tkeep) - DATA_BYTES, "partly filled before the last beat"
        assert not any(frame.tkeep[kept:]), "a hole in tkeep"
        assert not any(frame.tuser[:-DATA_BYTES]), "tuser before tlast"
        return Packet(bytes(frame.tdata[:kept]), bool(frame.tuser[-1]))

    @property
    def empty(self) -> bool:
        """Whether nothing is left to receive."""
        return self.port.empty()


class PacketSide:
    """Our drivers at the other end, with the same methods."""

    def __init__(self, dut, stall: float):
        kind, name = (PacketSink, "o") if RECEIVES else (PacketSource, "i")
        self.port: Any = kind(dut, name, DATA_BYTES, pause=chance(stall))

    def send(self, packet: Packet) -> None:
        """Queue ``packet``."""
        self.port.send(packet)

    async def receive(self) -> Packet:
        """Next packet."""
        return await self.port.received.get()

    @property
    def empty(self) -> bool:
        """Whether nothing is left to receive."""
        return self.port.received.empty()


async def attach(
    dut, source_stall: float = 0, sink_stall: float = 0
) -> tuple[Any, Any, Any]:  # of two sides and a port whose types depend on the direction
    """Attach a driver to each side and release reset: source, sink, and our port of the two."""
    if RECEIVES:
        source, sink = AxiSide(dut, source_stall), PacketSide(dut, sink_stall)
    else:
        source, sink = PacketSide(dut, source_stall), AxiSide(dut, sink_stall)
    await start(dut)
    await ClockCycles(dut.clk, 2)  # in which cocotbext-axi notices that reset is over
    return source, sink, (sink if RECEIVES else source).port


async def exchange(dut, source, sink, packets) -> None:
    """Send ``packets``, check that they arrive and that nothing comes after them."""
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.receive() == packet
    await ClockCycles(dut.clk, 10)
    assert sink.empty


async def count_malformed(dut) -> list[int]:
    """Count the pulses of ``malformed`` in the list returned."""
    count = [0]

    async def watch() -> None:
        edge = RisingEdge(dut.clk)
        while True:
            await edge
            count[0] += int(dut.malformed.value)

    cocotb.start_soon(watch())
    return count


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes_at_full_rate(dut):
    """Every length from 1 byte to four beats, with a beat in every cycle."""
    source, sink, port = await attach(dut)
    await exchange(dut, source, sink, [packet_of(length) for length in LENGTHS])
    assert port.span == port.accepted, "a cycle was lost"


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def packets_pass_under_stalls(dut, source_stall, sink_stall):
    """With pauses on both sides, packets and their error marks arrive whole and in order."""
    source, sink, _ = await attach(dut, source_stall, sink_stall)
    packets = [packet_of(random.choice(LENGTHS)) for _ in range(60)]
    await exchange(dut, source, sink, packets)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, it is gone without a trace in the next ones."""
    source, sink, port = await attach(dut, 0.2, 0.2)
    axi = (source if RECEIVES else sink).port
    for _ in range(5):
        source.send(packet_of(100 * DATA_BYTES))
        await ClockCycles(dut.clk, random.randint(3, 30))
        axi.clear()
        await reset(dut, port)
        await ClockCycles(dut.clk, 2)
        axi.clear()
        await exchange(dut, source, sink, [packet_of(random.choice(LENGTHS)) for _ in range(5)])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_offer_does_not_wait_for_ready(dut):
    """Give an offer to a sink that is ready only once it has seen one."""
    source, sink, port = await attach(dut)
    if RECEIVES:
        port.pause = lambda: True
    else:
        sink.port.pause = True
    await ClockCycles(dut.clk, 2)
    packet = packet_of(DATA_BYTES)
    source.send(packet)
    await ClockCycles(dut.clk, 5)
    assert (dut.o__valid if RECEIVES else dut.m_axis_tvalid).value
    if RECEIVES:
        port.pause = lambda: False
    else:
        sink.port.pause = False
    assert await sink.receive() == packet


def hostile_packet() -> list[AxiBeat]:
    """Packet of up to five beats with any ``tkeep``."""
    full = (1 << DATA_BYTES) - 1
    keeps = [0, full, full, full, full >> random.randrange(DATA_BYTES)]
    keeps.append(random.getrandbits(DATA_BYTES))
    count = random.randint(1, 5)
    return [
        AxiBeat(
            data=random.getrandbits(8 * DATA_BYTES),
            keep=random.choice(keeps),
            last=number == count - 1,
            user=random.random() < 0.2,
        )
        for number in range(count)
    ]


async def hostile_packets(dut, stall: float) -> None:
    """Holes, null beats and partly filled beats: well-formed packets, as the model has them."""
    source, sink, _ = await attach(dut, stall, stall)
    malformed = await count_malformed(dut)
    model = FromAxiStreamModel(DATA_BYTES)
    expected = []
    for number in range(200):
        beats = hostile_packet()
        if number % 4 == 3:  # among them, good ones: they must not suffer
            beats = list(to_axi_stream(to_beats(packet_of(random.choice(LENGTHS)), DATA_BYTES)))
        # cocotbext-axi drives 0 on the lanes behind a short last beat.
        lanes = beats[-1].keep.bit_length() or DATA_BYTES
        cut = beats[-1].data & ((1 << 8 * lanes) - 1)
        beats[-1] = AxiBeat(cut, beats[-1].keep, beats[-1].last, beats[-1].user)
        source.send_beats(beats)
        if became := model.packet(beats):
            expected.append(from_beats(became, DATA_BYTES))
    for packet in expected:
        assert await sink.receive() == packet
    await ClockCycles(dut.clk, 10 * 40)  # whole packets of null beats may follow the last one
    assert sink.empty
    assert malformed[0] == model.malformed_count > 0


async def single_beats(dut) -> None:
    """Each ``tkeep`` there is, for one byte lane or two, on a beat alone and behind another."""
    source, sink, _ = await attach(dut)
    lanes = min(DATA_BYTES, 4)
    full = (1 << DATA_BYTES) - 1
    rest = full >> lanes << lanes
    for low in range(1 << lanes):
        for keep in {low, low | rest} - {0}:
            data = random.getrandbits(8 * keep.bit_length())
            for ahead in ([], [AxiBeat(random.getrandbits(8 * DATA_BYTES), full, False)]):
                source.send_beats([*ahead, AxiBeat(data, keep, True)])
                contiguous = keep & (keep + 1) == 0
                packet = await sink.receive()
                size = keep.bit_length() if contiguous else DATA_BYTES
                assert len(packet.data) == size + len(ahead) * DATA_BYTES
                assert packet.error == (not contiguous)
    assert sink.empty


if RECEIVES:  # cocotb finds tests by the names of the module
    hostile_packets_test = cocotb.test(timeout_time=200, timeout_unit="us")(
        cocotb.parametrize(stall=[0.0, 0.5])(hostile_packets)
    )
    single_beats_test = cocotb.test(timeout_time=200, timeout_unit="us")(single_beats)
