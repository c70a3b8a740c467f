"""cocotb testbench of hdl.bits.Crc."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.bits import CRC_ALGORITHMS, CrcAlgorithm
from tb.stream import start

from .strobe_port import BeatSource, StrobeSink, chance

DATA_BYTES = int(os.environ["DATA_BYTES"])
LATENCY = int(os.environ["LATENCY"])
ALGORITHM = os.environ["ALGORITHM"]
MODEL = CRC_ALGORITHMS[ALGORITHM] if ALGORITHM in CRC_ALGORITHMS else CrcAlgorithm.parse(ALGORITHM)


async def attach(dut, stall: float = 0.0) -> tuple[BeatSource, StrobeSink]:
    """Attach drivers and release reset."""
    source, sink = BeatSource(dut, DATA_BYTES, pause=chance(stall)), StrobeSink(dut)
    await start(dut)
    return source, sink


async def compare(dut, source: BeatSource, sink: StrobeSink, packets: list[bytes]) -> None:
    """Send ``packets``; each CRC is the model's, exactly LATENCY cycles after the last beat."""
    for packet in packets:
        source.send(packet)
    await source.drain()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert [value for _, value in sink.received] == [MODEL(packet) for packet in packets]
    assert [cycle for cycle, _ in sink.received] == [last + LATENCY for last in source.lasts]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def published_check_value(dut):
    """CRC of the catalogue's check string: the published one."""
    source, sink = await attach(dut)
    await compare(dut, source, sink, [b"123456789"])
    assert sink.received[0][1] == int(os.environ["CHECK"], 16)


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
    """Packets of one beat, back to back: a CRC in every cycle."""
    source, sink = await attach(dut)
    packets = [random.randbytes(random.randint(1, DATA_BYTES)) for _ in range(200)]
    await compare(dut, source, sink, packets)
    assert source.lasts[-1] - source.lasts[0] == len(packets) - 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.1, 0.9])
async def mixed_packets(dut, stall):
    """Random packets; zeros and ones, which leave or wipe marks of init, among them."""
    source, sink = await attach(dut, stall)
    packets = []
    for _ in range(60):
        length = random.choice([1, DATA_BYTES, 2 * DATA_BYTES, random.randint(1, 300)])
        packets.append(random.choice([bytes(length), b"\xff" * length, random.randbytes(length)]))
    await compare(dut, source, sink, packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_bit_counts(dut):
    """Each bit alone in a beat, so that every column of the XOR network is seen."""
    source, sink = await attach(dut)
    packets = [(1 << bit).to_bytes(DATA_BYTES, "little") for bit in range(8 * DATA_BYTES)]
    await compare(dut, source, sink, packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def jumbo_packet(dut):
    """More beats than anything else sends: the loop."""
    source, sink = await attach(dut)
    await compare(dut, source, sink, [random.randbytes(9014)])


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
    """Reset forgets what was on its way; the next packet starts from init."""
    source, sink = await attach(dut)
    for _ in range(3):
        source.send(random.randbytes(DATA_BYTES))
    source.send(random.randbytes(20 * DATA_BYTES))
    await ClockCycles(dut.clk, 4 + cycles)
    source.flush()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    source.lasts.clear()
    await ClockCycles(dut.clk, 1)
    sink.received.clear()
    await ClockCycles(dut.clk, LATENCY + 2)
    assert sink.received == []
    await compare(dut, source, sink, [random.randbytes(2 * DATA_BYTES + 1), b"next"])
