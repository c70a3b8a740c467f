"""cocotb testbench of hdl.pcie.Tracer."""

import os
import random
from collections import deque

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pcie.parts import RoutedBeatLayout
from hdl.pcie.route import RouteLayout
from sim.pcie import Decision, Kind, RouterModel, Tlp, trace_record

from ..stream import StreamSink, chance, reset, start
from .route_cases import beats_of, random_bridges, random_tlp, route_to_int, segments_of
from .segments import SEGMENT_WIDTH, changed, field_of

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
PORT = int(os.environ["PORT"])
DEPTH = int(os.environ["DEPTH"])
LATENCY = 5

_ROUTE_BITS = RouteLayout(PORT_COUNT).size
_ROUTES_BASE = RoutedBeatLayout(PORT_COUNT, SEGMENT_COUNT)["routes"].offset
_LOST_OFFSET = 26  # bytes


class Watch:
    """What has gone into the tracer, with the cycle; and how many records it says it left out.

    Attributes
    ----------
    told : list of (Tlp, Decision, int)
        Each TLP that the device has seen, in order, and when.
    lost : int
        Sum of ``lost``.
    """

    def __init__(self, dut):
        self.dut = dut
        self.expected: deque[tuple[Tlp, Decision]] = deque()
        self.told: list[tuple[Tlp, Decision, int]] = []
        self.lost = 0
        cocotb.start_soon(self._run())

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        cycle = 0
        while True:
            await edge
            if self.dut.rst.value:
                cycle = 0
                continue
            self.lost += int(self.dut.lost.value)
            for segment in segments_of(int(self.dut.i.value), SEGMENT_COUNT):
                if segment is not None and field_of(segment, "sop"):
                    self.told.append((*self.expected.popleft(), cycle))
            cycle += 1

    def record(self, number: int, lost: int) -> bytes:
        """Record of the TLP with this number."""
        tlp, decision, cycle = self.told[number]
        return trace_record(PORT, tlp, decision, lost=lost, time=cycle)


def traffic(count: int, *, gap: float = 0.0, pause: float = 0.0):
    """TLPs with their decisions, and the beats that the router would put out."""
    bridges = random_bridges(PORT_COUNT)
    model = RouterModel(PORT_COUNT)
    tlps = [random_tlp(PORT, bridges) for _ in range(count)]
    # The router does not change what it gets: these are the TLPs as they leave it.
    decided = [(tlp, model.route(PORT, tlp, bridges)) for tlp in tlps]
    left = deque(decided)
    beats = []
    for beat in beats_of(tlps, SEGMENT_COUNT, gap=gap, pause=pause):
        routed = beat | random.getrandbits(_ROUTE_BITS * SEGMENT_COUNT) << _ROUTES_BASE
        for lane, segment in enumerate(segments_of(beat, SEGMENT_COUNT)):
            if segment is None or not field_of(segment, "sop"):
                continue
            decision = left.popleft()[1]
            routed &= ~((1 << _ROUTE_BITS) - 1 << _ROUTES_BASE + lane * _ROUTE_BITS)
            routed |= route_to_int(decision, PORT_COUNT) << _ROUTES_BASE + lane * _ROUTE_BITS
            if decision.to_type_0:
                offset = SEGMENT_COUNT + lane * SEGMENT_WIDTH
                routed ^= segment << offset
                routed |= changed(segment, header__type=Kind.CONFIGURATION_0) << offset
        beats.append(routed)
    return decided, beats


async def attach(dut, *, sink_pause):
    """Watch the input, attach a sink and release reset."""
    dut.i.value = 0
    watch = Watch(dut)
    sink = StreamSink(dut, "o", pause=sink_pause)
    await start(dut)
    return watch, sink


async def play(dut, watch: Watch, count: int, **idle: float):
    """Put TLPs in front of the tracer."""
    decided, beats = traffic(count, **idle)
    watch.expected.extend(decided)
    for beat in beats:
        dut.i.value = beat
        await RisingEdge(dut.clk)
    dut.i.value = 0


def received(sink: StreamSink) -> list[bytes]:
    """Take the records that have come out."""
    found = []
    while not sink.received.empty():
        found.append(sink.received.get_nowait().to_bytes(32, "little"))
    return found


def compare(watch: Watch, records: list[bytes]) -> int:
    """Match ``records`` with what went in, past those left out; give the number reached."""
    number = 0
    for record in records:
        lost = int.from_bytes(record[_LOST_OFFSET : _LOST_OFFSET + 2], "little")
        number += lost
        assert record == watch.record(number, lost), f"record of TLP {number}"
        number += 1
    return number


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(gap=[0.0, 0.5], sink_stall=[0.0, 0.3])
async def every_tlp_has_its_record(dut, gap, sink_stall):
    """With a reader that keeps up, no record is missing, and each says what the model says."""
    watch, sink = await attach(dut, sink_pause=chance(sink_stall))
    for _ in range(40):
        await play(dut, watch, DEPTH, gap=gap, pause=0.3)
        await ClockCycles(dut.clk, 3 * DEPTH + 20)
    assert compare(watch, received(sink)) == len(watch.told) == 40 * DEPTH
    assert watch.lost == 0


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_record_comes_after_five_cycles(dut):
    """Of a full beat, the first record is there when promised, and the others behind it."""
    watch, sink = await attach(dut, sink_pause=chance(0))
    while True:
        decided, beats = traffic(SEGMENT_COUNT)
        segments = segments_of(beats[0], SEGMENT_COUNT)
        if all(segment is not None and field_of(segment, "sop") for segment in segments):
            break
    watch.expected.extend(decided)
    dut.i.value = beats[0]
    await RisingEdge(dut.clk)
    dut.i.value = 0
    cycles = 0
    while not dut.o__valid.value:
        await RisingEdge(dut.clk)
        cycles += 1
    assert cycles == LATENCY
    await ClockCycles(dut.clk, 20)
    assert sink.span == sink.accepted == SEGMENT_COUNT


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.5, 0.9])
async def records_left_out_are_counted(dut, sink_stall):
    """With a slow reader, each record says how many are missing before it: all add up."""
    watch, sink = await attach(dut, sink_pause=chance(sink_stall))
    for _ in range(5):
        await play(dut, watch, 60)
    await ClockCycles(dut.clk, 20 * (DEPTH + 10) * SEGMENT_COUNT)
    # One more, so that the last ones that are missing are told.
    await play(dut, watch, 1)
    await ClockCycles(dut.clk, 200)
    records = received(sink)
    assert compare(watch, records) == len(watch.told) == 301
    assert watch.lost == 301 - len(records) > 0


@cocotb.test(timeout_time=200, timeout_unit="us")
async def without_a_reader_the_first_are_kept(dut):
    """Nobody reads: the records of ``DEPTH`` beats at least wait, in order, and none is torn."""
    reading = False
    watch, sink = await attach(dut, sink_pause=lambda: not reading)
    for _ in range(4):
        await play(dut, watch, 10 * DEPTH)
    reading = True
    await ClockCycles(dut.clk, 20 + 8 * (DEPTH + 4))
    records = received(sink)
    assert compare(watch, records) == len(records)
    kept = {cycle for _, _, cycle in watch.told[: len(records)]}
    assert len(kept) >= DEPTH
    assert watch.lost == len(watch.told) - len(records)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def more_than_can_be_told_saturates(dut):
    """Of 65,535 records and more that are missing, the record says 65,535."""
    reading = False
    dut.i.value = 0
    sink = StreamSink(dut, "o", pause=lambda: not reading)
    await start(dut)
    beat = (1 << SEGMENT_COUNT) - 1
    for lane in range(SEGMENT_COUNT):
        beat |= changed(0, sop=1, eop=1) << SEGMENT_COUNT + lane * SEGMENT_WIDTH
    dut.i.value = beat
    await ClockCycles(dut.clk, 66_000 // SEGMENT_COUNT + 2 * DEPTH)
    dut.i.value = 0
    reading = True
    await ClockCycles(dut.clk, 20 + 8 * (DEPTH + 4))
    received(sink)
    dut.i.value = beat
    await RisingEdge(dut.clk)
    dut.i.value = 0
    await ClockCycles(dut.clk, 20)
    lost = [int.from_bytes(record[_LOST_OFFSET:][:2], "little") for record in received(sink)]
    assert lost == [0xFFFF, *[0] * (SEGMENT_COUNT - 1)]


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_forgets_records(dut):
    """After a reset nothing that was before comes out or is missing, and time is 0 again."""
    reading = False
    watch, sink = await attach(dut, sink_pause=lambda: not reading)
    for _ in range(3):
        await play(dut, watch, 10 * DEPTH)
        await reset(dut, sink)
        watch.told.clear()
        watch.expected.clear()
        watch.lost = 0
        reading = True
        await ClockCycles(dut.clk, 20)
        received(sink)
        await play(dut, watch, DEPTH, pause=0.5)
        await ClockCycles(dut.clk, 20 + 4 * DEPTH)
        assert compare(watch, received(sink)) == len(watch.told) == DEPTH
        reading = False
