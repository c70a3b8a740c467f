"""cocotb tests of any block that makes one value of each packet, some cycles after its last beat.

Environment: ``DATA_BYTES``, ``LATENCY`` and ``MODEL``, the name of a CRC algorithm, its line in the
catalogue, or ``checksum``.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.bits import CRC_ALGORITHMS, CrcAlgorithm, internet_checksum
from tb.stream import chance, start

from .strobe_port import BeatSource, StrobeSink

DATA_BYTES = int(os.environ["DATA_BYTES"])
LATENCY = int(os.environ.get("LATENCY", "0"))
NAME = os.environ["MODEL"]
MODELS = {**CRC_ALGORITHMS, "checksum": internet_checksum}
MODEL = MODELS[NAME] if NAME in MODELS else CrcAlgorithm.parse(NAME)


async def attach(dut, stall: float = 0.0) -> tuple[BeatSource, StrobeSink]:
    """Attach drivers and release reset."""
    source, sink = BeatSource(dut, DATA_BYTES, pause=chance(stall)), StrobeSink(dut)
    await start(dut)
    return source, sink


async def compare(dut, source: BeatSource, sink: StrobeSink, packets: list[bytes]) -> None:
    """Send ``packets``; each value is the model's, exactly LATENCY cycles after the last beat."""
    for packet in packets:
        source.send(packet)
    await source.drain()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert [value for _, value in sink.received] == [MODEL(packet) for packet in packets]
    assert [cycle for cycle, _ in sink.received] == [last + LATENCY for last in source.lasts]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_length_to_four_beats(dut, stall):
    """Packets of each length up to four beats and two bytes, with gaps anywhere or nowhere."""
    source, sink = await attach(dut, stall)
    lengths = list(range(1, 4 * DATA_BYTES + 3))
    random.shuffle(lengths)
    await compare(dut, source, sink, [random.randbytes(length) for length in lengths])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def single_beats_in_every_cycle(dut):
    """Packets of one beat, back to back: a value in every cycle."""
    source, sink = await attach(dut)
    packets = [random.randbytes(random.randint(1, DATA_BYTES)) for _ in range(200)]
    await compare(dut, source, sink, packets)
    assert source.lasts[-1] - source.lasts[0] == len(packets) - 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.1, 0.9])
async def mixed_packets(dut, stall):
    """Random packets, and packets of zeros or ones among them."""
    source, sink = await attach(dut, stall)
    packets = []
    for _ in range(60):
        length = random.choice([1, DATA_BYTES, 2 * DATA_BYTES, random.randint(1, 300)])
        packets.append(random.choice([bytes(length), b"\xff" * length, random.randbytes(length)]))
    await compare(dut, source, sink, packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_bit_counts(dut):
    """Each bit alone in a beat."""
    source, sink = await attach(dut)
    packets = [(1 << bit).to_bytes(DATA_BYTES, "little") for bit in range(8 * DATA_BYTES)]
    await compare(dut, source, sink, packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(fill=[None, 0xFF])
async def jumbo_packet(dut, fill):
    """Many beats, random or as large as they can be."""
    source, sink = await attach(dut)
    packet = random.randbytes(9014) if fill is None else bytes([fill]) * 9014
    await compare(dut, source, sink, [packet, b"after"])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def broken_keep_harms_one_packet(dut):
    """After a keep with holes, or none, time and the next packet are right."""
    source, sink = await attach(dut)
    source.send(b"before")
    for keep in (0, 1 << (DATA_BYTES - 1), random.getrandbits(DATA_BYTES)):
        source.send_beat(random.randbytes(DATA_BYTES), 0, False)
        source.send_beat(random.randbytes(DATA_BYTES), keep, True)
    source.send(b"after")
    await source.drain()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert [cycle for cycle, _ in sink.received] == [last + LATENCY for last in source.lasts]
    values = [value for _, value in sink.received]
    assert [values[0], values[-1]] == [MODEL(b"before"), MODEL(b"after")]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(cycles=[1, 4, 9])
async def reset_in_mid_packet(dut, cycles):
    """Reset forgets what was on its way; the next packet starts afresh."""
    source, sink = await attach(dut)
    for _ in range(3):
        source.send(random.randbytes(DATA_BYTES))
    source.send(random.randbytes(20 * DATA_BYTES))
    await ClockCycles(dut.clk, 4 + cycles)
    source.queue.clear()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    source.sent.clear()
    await ClockCycles(dut.clk, 1)
    sink.received.clear()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert sink.received == []
    await compare(dut, source, sink, [random.randbytes(2 * DATA_BYTES + 1), b"next"])
