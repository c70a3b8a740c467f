"""cocotb testbench of hdl.pcie.TlpPacker."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from sim.pcie import Piece, TlpPackerModel
from sim.pcie.tlp import Kind, Tlp

from ..stream import chance, start
from .random_tlps import random_tlp
from .segments import SEGMENT_WIDTH, field_of, to_segments
from .tlp_port import TlpSink, TlpSource

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
TLPS = 60


def write(segments: int) -> Tlp:
    """Memory write of random bytes that fills ``segments`` segments."""
    dwords = random.randint(8 * segments - 7, 8 * segments)
    return Tlp(Kind.MEMORY, data=random.randbytes(4 * dwords), length=dwords)


def pieces(beat: int) -> list[Piece | None]:
    """Lanes of a beat."""
    lanes: list[Piece | None] = []
    for n in range(SEGMENT_COUNT):
        bits = beat >> SEGMENT_COUNT + n * SEGMENT_WIDTH & (1 << SEGMENT_WIDTH) - 1
        lanes.append(Piece(bits, bool(field_of(bits, "eop"))) if beat >> n & 1 else None)
    return lanes


async def watch(dut, model: TlpPackerModel) -> None:
    """Compare each beat with the model, in the cycle in which it is first offered."""
    edge = RisingEdge(dut.clk)
    was_free = True
    was_alone = True
    while True:
        await edge
        if dut.rst.value or dut.clear.value:
            model.clear()
            was_free = was_alone = True
            continue
        offered = bool(dut.o__valid.value)
        if offered and was_free:
            model.beat(pieces(int(dut.o__payload.value)), alone=was_alone)
        was_free = not offered or bool(dut.o__ready.value)
        arrives = bool(dut.i__valid.value and dut.i__ready.value)
        was_alone = not arrives
        if arrives:
            model.put(piece for piece in pieces(int(dut.i__payload.value)) if piece)


async def attach(dut, *, pause=0.0, gap=0.0, sink_stall=0.0, continuous=True):
    """Attach drivers, the model, and release reset."""
    dut.clear.value = 0
    source = TlpSource(
        dut, "i", SEGMENT_COUNT, pause=chance(pause), gap=chance(gap), continuous=continuous
    )
    sink = TlpSink(dut, "o", SEGMENT_COUNT, pause=chance(sink_stall), continuous=continuous)
    model = TlpPackerModel(SEGMENT_COUNT)
    cocotb.start_soon(watch(dut, model))
    await start(dut)
    return source, sink, model


async def expect(dut, source, sink, model, tlps):
    """All of ``tlps`` come out, and nothing stays or follows."""
    for tlp in tlps:
        source.send(tlp)
    for tlp in tlps:
        assert await sink.received.get() == tlp
    await ClockCycles(dut.clk, 6)
    assert sink.received.empty()
    assert not model.waiting


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(pause=[0.0, 0.5], gap=[0.0, 0.4, 0.9], sink_stall=[0.0, 0.5])
async def beats_are_the_models(dut, pause, gap, sink_stall):
    """TLPs of all kinds come out in order, without a gap, and as full as may be."""
    source, sink, model = await attach(dut, pause=pause, gap=gap, sink_stall=sink_stall)
    tlps = [random_tlp() if random.random() < 0.5 else write(1) for _ in range(TLPS)]
    await expect(dut, source, sink, model, tlps)


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(gap=[0.0, 0.5])
async def every_length_passes(dut, gap):
    """TLPs of one segment to four beats, one after the other, at any lane."""
    source, sink, model = await attach(dut, gap=gap)
    lengths = [n for n in range(1, 4 * SEGMENT_COUNT + 1) for _ in range(4)]
    await expect(dut, source, sink, model, [write(n) for n in lengths])


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(segments=[1, 2, 3, 5])
async def full_rows_leave_at_full_rate(dut, segments):
    """Rows without idle lanes are sent on in as many cycles; they take 2 to pass."""
    source, sink, model = await attach(dut)
    sink.open()
    tlps = [write(segments) for _ in range(40)]
    await expect(dut, source, sink, model, tlps)
    beats = -(-40 * segments // SEGMENT_COUNT)
    assert sink.beats == sink.span == beats
    # Drivers count an edge after they drive, monitors the edge at which they see.
    assert sink.first - source.first == 3


@cocotb.test(timeout_time=100, timeout_unit="us")
async def gaps_are_closed(dut):
    """Rows with one TLP of one segment each leave as full beats while they come."""
    source, sink, _ = await attach(dut)
    sink.open()
    for n in range(16 * SEGMENT_COUNT):
        lanes: list[int | None] = [None] * SEGMENT_COUNT
        (lanes[random.randrange(SEGMENT_COUNT)],) = to_segments(Tlp(Kind.MEMORY, length=1, tag=n))
        source.send_lanes(lanes)
    for n in range(16 * SEGMENT_COUNT):
        assert (await sink.received.get()).tag == n
    assert sink.beats == 16


@cocotb.test(timeout_time=100, timeout_unit="us")
async def refused_beats_are_joined(dut):
    """While a beat is refused, what fits beside it is put together behind it."""
    source, sink, model = await attach(dut, sink_stall=1.0, gap=0.7)
    for _ in range(4 * SEGMENT_COUNT):
        source.send(write(1))
    await ClockCycles(dut.clk, 40)
    held = len(model.waiting)
    assert held >= SEGMENT_COUNT, f"{held} segments inside"
    sink.pause = chance(0)
    for _ in range(4 * SEGMENT_COUNT):
        await sink.received.get()


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(by_reset=[False, True])
async def clearing_forgets_all(dut, by_reset):
    """Send nothing of what was there when it is cleared within a TLP, and the next ones whole."""
    source, sink, model = await attach(dut, gap=0.3, sink_stall=0.6)
    signal = dut.rst if by_reset else dut.clear
    for _ in range(30):
        for _ in range(8):
            source.send(write(random.randint(1, 3 * SEGMENT_COUNT)))
        await ClockCycles(dut.clk, random.randint(1, 20))
        await FallingEdge(dut.clk)
        signal.value = 1
        for _ in range(3):
            source.flush()
            await FallingEdge(dut.clk)
            sink.flush()  # the first edge may still have taken a beat
        while not sink.received.empty():
            sink.received.get_nowait()
        signal.value = 0
        await expect(dut, source, sink, model, [write(random.randint(1, 9)) for _ in range(4)])


@cocotb.test(timeout_time=100, timeout_unit="us")
async def rows_that_pause_are_kept(dut):
    """Rows of one TLP that do not follow each other break the promise about valid, nothing else."""
    source, sink, model = await attach(dut, pause=0.5, gap=0.5, sink_stall=0.3, continuous=False)
    await expect(dut, source, sink, model, [write(random.randint(1, 9)) for _ in range(TLPS)])
