"""cocotb testbench of hdl.stream.Downsizer."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import Beat, Packet, downsize, to_beats

from . import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset, start
from .packet_port import pack, unpack

I_BYTES = int(os.environ["I_BYTES"])
O_BYTES = int(os.environ["O_BYTES"])
WIDER = max(I_BYTES, O_BYTES)
LENGTHS = range(1, 4 * WIDER + 1)


def packet_of(length: int) -> Packet:
    """Random packet of ``length`` bytes, one in ten damaged."""
    return Packet(random.randbytes(length), error=random.random() < 0.1)


async def attach(dut, source_stall: float = 0, sink_stall: float = 0):
    """Attach a driver to each stream and release reset."""
    source = PacketSource(dut, "i", I_BYTES, pause=chance(source_stall))
    sink = PacketSink(dut, "o", O_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, sink


async def exchange(dut, source, sink, packets) -> None:
    """Send ``packets``, check that they arrive and that nothing comes after them."""
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


def masked(beat: Beat) -> Beat:
    """``beat`` with the bytes that are not kept set to 0."""
    kept = sum(0xFF << 8 * n for n in range(beat.keep.bit_length()) if beat.keep >> n & 1)
    return Beat(beat.data & kept, beat.keep, beat.last, beat.error)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes_at_full_rate(dut):
    """Every length from 1 byte to four wide beats; the narrow side moves a beat each cycle."""
    source, sink = await attach(dut)
    await exchange(dut, source, sink, [packet_of(length) for length in LENGTHS])
    assert sink.span == sink.accepted, "a cycle was lost"


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5, 0.9])
async def packets_pass_under_stalls(dut, source_stall, sink_stall):
    """With stalls on both sides, packets and their error marks arrive whole and in order."""
    source, sink = await attach(dut, source_stall, sink_stall)
    packets = [packet_of(random.choice(LENGTHS)) for _ in range(60)]
    await exchange(dut, source, sink, packets)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def beats_are_the_models(dut):
    """No beat more or less than the model's, each with the model's fields."""
    source, sink = StreamSource(dut, "i"), StreamSink(dut, "o")
    await start(dut)
    beats = [
        beat
        for length in random.sample(LENGTHS, min(len(LENGTHS), 40))
        for beat in to_beats(packet_of(length), I_BYTES)
    ]
    for beat in beats:
        source.send_value(pack(beat, I_BYTES))
    for expected in downsize(beats, I_BYTES, O_BYTES):
        assert masked(unpack(await sink.received.get(), O_BYTES)) == masked(expected)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def malformed_packets_do_not_stop_it(dut):
    """Any keep and error on any beat: the beats are the model's, and good packets follow."""
    source = StreamSource(dut, "i", pause=chance(0.3))
    sink = StreamSink(dut, "o", pause=chance(0.3))
    await start(dut)
    beats = [
        Beat(
            data=random.getrandbits(8 * I_BYTES),
            keep=random.choice([0, (1 << I_BYTES) - 1, random.getrandbits(I_BYTES)]),
            last=random.random() < 0.3,
            error=random.random() < 0.5,
        )
        for _ in range(200)
    ]
    beats += [Beat(0, 1, True, False), *to_beats(packet_of(3 * WIDER), I_BYTES)]
    for beat in beats:
        source.send_value(pack(beat, I_BYTES))
    for expected in downsize(beats, I_BYTES, O_BYTES):
        assert masked(unpack(await sink.received.get(), O_BYTES)) == masked(expected)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, it is gone without a trace in the next ones."""
    source, sink = await attach(dut, 0.2, 0.2)
    for _ in range(10):
        source.send(packet_of(100 * WIDER))
        await ClockCycles(dut.clk, random.randint(3, 30))
        await reset(dut, source, sink)
        packets = [packet_of(random.choice(LENGTHS)) for _ in range(5)]
        await exchange(dut, source, sink, packets)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_offer_does_not_wait_for_ready(dut):
    """Give an offer to a sink that is ready only once it has seen one."""
    waits = True
    source = PacketSource(dut, "i", I_BYTES)
    sink = PacketSink(dut, "o", O_BYTES, pause=lambda: waits)
    await start(dut)
    packet = packet_of(WIDER)
    source.send(packet)
    await ClockCycles(dut.clk, 5 + WIDER)
    assert dut.o__valid.value
    waits = False
    assert await sink.received.get() == packet
    await ClockCycles(dut.clk, 10)
