"""cocotb testbench of hdl.pcie.TlpCheck."""

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence

import cocotb
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import CreditAmountsLayout
from sim.pcie import CheckedTlp, Kind, Tlp, TlpBufferModel, TlpCheckModel, Verdict
from tb.stream import start

from .hostile import good_tlp, hostile_lanes, to_model
from .segments import SEGMENT_WIDTH, changed, field_of, to_segments

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
MAX_PAYLOAD_BYTES = int(os.environ["MAX_PAYLOAD_BYTES"])
MOST_DWORDS = MAX_PAYLOAD_BYTES // 4
PLENTY = [2047, 32767] * 3
ROOM = CreditAmountsLayout(12, 16)
DROPPED = CreditAmountsLayout(3, 11)
KINDS = ("headers", "data")

Lanes = Sequence[int | None]


def amounts(layout, bits: int) -> list[int]:
    """Six amounts out of their bits."""
    view = layout.from_bits(bits)
    return [view[n][kind] for n in range(3) for kind in KINDS]


class Bench:
    """The block beside its model, every output in every cycle.

    Attributes
    ----------
    room : list of int
        What the block is told; of it, ``advertised`` less ``held``.
    verdicts : Counter
        Of all that ended.
    passed : list of list of int
        TLPs that passed.
    """

    def __init__(self, dut, advertised: list[int]):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.model = TlpCheckModel(MAX_PAYLOAD_BYTES)
        self.buffer: TlpBufferModel[int] = TlpBufferModel()
        self.advertised = list(advertised)
        self.room = list(advertised)
        self.back = [0] * 6
        self.returns: Callable[[], bool] = lambda: True
        self.waiting: list[tuple[Lanes, bool]] = []
        self.expected: list[list[CheckedTlp]] = [[], []]
        self.verdicts: Counter[Verdict] = Counter()
        self.passed: list[list[int]] = []
        self.lanes_waiting: list[int | None] = []

    async def step(self, lanes: Lanes = (), *, flush: bool = False) -> None:
        """One cycle with a beat, or none, on the input."""
        lanes = [*lanes, *[None] * (SEGMENT_COUNT - len(lanes))]
        value = 0
        for number, segment in enumerate(lanes):
            # An idle lane may say anything.
            drawn = random.getrandbits(SEGMENT_WIDTH) if segment is None else segment
            value |= drawn << SEGMENT_COUNT + number * SEGMENT_WIDTH
            value |= (segment is not None) << number
        self.dut.i.value = value
        self.dut.flush.value = int(flush)
        pairs = [dict(zip(KINDS, self.room[2 * n : 2 * n + 2], strict=True)) for n in range(3)]
        self.dut.room.value = ROOM.const(pairs).as_bits()
        pairs = [dict(zip(KINDS, self.back[2 * n : 2 * n + 2], strict=True)) for n in range(3)]
        self.dut.returning.value = ROOM.const(pairs).as_bits()
        await self.edge
        self.waiting.append((lanes, flush))
        if len(self.waiting) == 3:
            self._judge(*self.waiting.pop(0))
            self._look_at_events(self.expected.pop(0))
        self._look_at_output()

    def _judge(self, lanes: Lanes, flush: bool) -> None:
        """Ask the model about the beat two cycles ago."""
        ended = (
            self.model.flush()
            if flush
            else self.model.receive([to_model(segment) for segment in lanes], self.room)
        )
        self.expected.append(ended)
        taken = [0] * 6
        for tlp in ended:
            if tlp.header is not None and tlp.verdict in (Verdict.GOOD, Verdict.MALFORMED):
                taken[2 * tlp.header.tlp_class] += 1
                taken[2 * tlp.header.tlp_class + 1] += tlp.header.data_credits
        left = amounts(ROOM, int(self.dut.room_left.value))
        assert left == [
            room + back - less for room, back, less in zip(self.room, self.back, taken, strict=True)
        ]
        self.room = left
        self.back = [
            min(most - now, random.randint(0, 300)) if self.returns() else 0
            for most, now in zip(self.advertised, left, strict=True)
        ]

    def _look_at_events(self, ended: list[CheckedTlp]) -> None:
        """Compare what was counted four cycles after its beat."""
        counts = Counter(tlp.verdict for tlp in ended)
        self.verdicts += counts
        for name in ("malformed", "overflow", "nullified"):
            assert int(self.dut[name].value) == counts[Verdict[name.upper()]], name
        dropped = [0] * 6
        first: Tlp | None = None
        for tlp in ended:
            if tlp.header is None:
                continue
            if tlp.verdict == Verdict.MALFORMED:
                dropped[2 * tlp.header.tlp_class] += 1
                dropped[2 * tlp.header.tlp_class + 1] += tlp.header.data_credits
            if first is None and tlp.verdict in (Verdict.MALFORMED, Verdict.OVERFLOW):
                first = tlp.header
                shown = field_of(tlp.segments[0].name, "header")  # pyright: ignore
                assert int(self.dut.bad_header.value) == shown
        assert first is not None or int(self.dut.bad_header.value) == 0
        assert amounts(DROPPED, int(self.dut.dropped.value)) == dropped
        self.good = [tlp for tlp in ended if tlp.verdict == Verdict.GOOD]

    def _look_at_output(self) -> None:
        """Put together what passes; the model of the next block checks the form."""
        value = int(self.dut.o.value)
        valid = value & (1 << SEGMENT_COUNT) - 1
        value >>= SEGMENT_COUNT
        lanes: list[tuple[int, bool, bool] | None] = []
        for number in range(SEGMENT_COUNT):
            segment = value >> number * SEGMENT_WIDTH & (1 << SEGMENT_WIDTH) - 1
            sop, eop = bool(field_of(segment, "sop")), bool(field_of(segment, "eop"))
            lanes.append((segment, sop, eop) if valid >> number & 1 else None)
        value >>= SEGMENT_COUNT * SEGMENT_WIDTH
        tail = [bool(value >> number & 1) for number in range(SEGMENT_COUNT)]
        ended, bad = value >> SEGMENT_COUNT & 1, value >> SEGMENT_COUNT + 1 & 1
        whole = self.buffer.receive(lanes, tail, ended=bool(ended), bad=bool(bad))
        # The model's word on this beat is the newest but one: it came a cycle ago.
        expected = self.expected[0] if len(self.waiting) == 2 else []
        good = [
            [segment.name for segment in tlp.segments]
            for tlp in expected
            if tlp.verdict == Verdict.GOOD
        ]
        assert whole == good
        self.passed += whole

    def queue(self, lanes: Lanes) -> None:
        """Put lanes behind those that wait."""
        self.lanes_waiting += lanes

    async def send_all(self, pause: float = 0.0, flush: float = 0.0) -> None:
        """Send what waits, with cycles without a beat and with the link down between."""
        while self.lanes_waiting:
            if random.random() < pause:
                await self.step()
            if random.random() < flush:
                for _ in range(random.randint(1, 3)):
                    await self.step(self.lanes_waiting[:SEGMENT_COUNT], flush=True)
            await self.step(self.lanes_waiting[:SEGMENT_COUNT])
            del self.lanes_waiting[:SEGMENT_COUNT]
        for _ in range(6):
            await self.step()


async def begin(dut, advertised: list[int]) -> Bench:
    """Release reset."""
    dut.i.value = dut.flush.value = dut.room.value = dut.returning.value = 0
    await start(dut)
    return Bench(dut, advertised)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize((("pause", "gap"), [(0.0, 0.0), (0.0, 0.3), (0.5, 0.3)]))
async def good_tlps_pass(dut, pause, gap):
    """All of every kind, back to back or not, in any lane."""
    bench = await begin(dut, PLENTY)
    tlps = [good_tlp(MOST_DWORDS) for _ in range(300)]
    for tlp in tlps:
        bench.queue(to_segments(tlp))
        while random.random() < gap:
            bench.queue([None])
    await bench.send_all(pause)
    assert bench.passed == [to_segments(tlp) for tlp in tlps]


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(digest=[False, True])
async def every_length(dut, digest):
    """All lengths to four beats pass, and the longest; one DW more is malformed."""
    bench = await begin(dut, PLENTY)
    lengths = [*range(1, 4 * 8 * SEGMENT_COUNT + 1), MOST_DWORDS - 1, MOST_DWORDS]
    lengths = [length for length in lengths if length <= MOST_DWORDS]
    sent = []
    for length in lengths:
        for kind in (Kind.MEMORY, Kind.COMPLETION):
            sent.append(
                Tlp(
                    kind,
                    data=random.randbytes(4 * length),
                    length=length,
                    first_be=15 if kind == Kind.MEMORY else 0,
                    last_be=15 if kind == Kind.MEMORY and length > 1 else 0,
                    digest=random.randbytes(4) if digest else None,
                )
            )
            bench.queue(to_segments(sent[-1]))
    await bench.send_all()
    assert bench.passed == [to_segments(tlp) for tlp in sent]
    if MOST_DWORDS < 1024:
        bench.queue(
            to_segments(
                Tlp(Kind.COMPLETION, data=bytes(4 * MOST_DWORDS + 4), length=MOST_DWORDS + 1)
            )
        )
        await bench.send_all()
        assert bench.verdicts[Verdict.MALFORMED] == 1


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_header_rule(dut):
    """All 128 pairs of Fmt and Type, and the rules' edges, each with a good TLP behind it."""
    bench = await begin(dut, PLENTY)
    read = Tlp(Kind.MEMORY, length=4, first_be=15, last_be=15)
    one = Tlp(Kind.IO, length=1, first_be=15)
    cases = [
        Tlp(kind, length=1, data=data, four_dwords=four)
        for kind in range(32)
        for data in (None, bytes(4))
        for four in (False, True)
    ]
    for address in (0xFEC, 0xFF0, 0xFF4, 0xFFC, 0x1FF0, 0x1FF4):
        cases.append(read.with_changes(address=address))
        cases.append(read.with_changes(address=address, kind=Kind.MEMORY_LOCKED))
        cases.append(read.with_changes(address=address, data=bytes(16)))
    cases += [read.with_changes(length=1024, address=a) for a in (0, 4)]
    for length in (1, 2, 3):
        for first in (0, 15):
            for last in (0, 15):
                for th in (False, True):
                    case = read.with_changes(length=length, first_be=first, last_be=last, th=th)
                    cases += [case, case.with_changes(data=bytes(4 * length))]
    for kind in (Kind.IO, Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        for change in ({}, {"tc": 1}, {"last_be": 1}, {"length": 2}, {"length": 1024}):
            cases.append(one.with_changes(kind=kind, **change))
    for case in cases:
        bench.queue(to_segments(case))
        bench.queue(to_segments(good_tlp(4)))
    await bench.send_all()
    assert bench.verdicts[Verdict.MALFORMED] > 80
    assert bench.verdicts[Verdict.GOOD] > len(cases) + 60


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize((("pause", "flush"), [(0.0, 0.0), (0.3, 0.02)]))
async def hostile_lanes_are_judged_like_the_model(dut, pause, flush):
    """Whatever comes, each good TLP passes, nothing else does, and all of it is counted."""
    bench = await begin(dut, PLENTY)
    for _ in range(500):
        bench.queue(hostile_lanes(random.choice([16, MOST_DWORDS, MOST_DWORDS + 8])))
        while random.random() < 0.1:
            bench.queue([None])
    await bench.send_all(pause, flush)
    assert all(bench.verdicts[verdict] for verdict in Verdict if verdict != Verdict.OVERFLOW)
    # It still works.
    before = len(bench.passed)
    for _ in range(20):
        bench.queue([None, *to_segments(good_tlp(MOST_DWORDS))])
    await bench.send_all()
    assert len(bench.passed) == before + 20


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize((("most", "rate"), [(3, 0.3), (12, 0.05)]))
async def overflow_takes_no_credits(dut, most, rate):
    """From a sender that does not count, only what there is no room for is dropped."""
    bench = await begin(dut, [most, 3 * MOST_DWORDS // 4 + most] * 3)
    bench.returns = lambda: random.random() < rate
    for _ in range(400):
        bench.queue(to_segments(good_tlp(random.choice([4, MOST_DWORDS]))))
        if random.random() < 0.1:
            bench.queue(hostile_lanes(16))
    await bench.send_all(0.1, 0.01)
    assert bench.verdicts[Verdict.OVERFLOW] > 10
    assert bench.verdicts[Verdict.GOOD] > 10


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def flush_and_reset_in_mid_tlp(dut):
    """Both forget the open TLP without a trace, whatever lane it is in, and the next one passes."""
    bench = await begin(dut, PLENTY)
    long = [
        changed(segment, eop=0)
        for segment in to_segments(
            Tlp(Kind.COMPLETION, data=bytes(MAX_PAYLOAD_BYTES), length=MOST_DWORDS)
        )
    ]
    for number in range(30):
        bench.queue([None] * random.randrange(SEGMENT_COUNT))
        bench.queue(long[: random.randint(1, len(long) - 1)])
        while len(bench.lanes_waiting) % SEGMENT_COUNT:
            bench.lanes_waiting.pop()
        for begin_lane in range(0, len(bench.lanes_waiting), SEGMENT_COUNT):
            await bench.step(bench.lanes_waiting[begin_lane : begin_lane + SEGMENT_COUNT])
        bench.lanes_waiting = []
        if number % 3:
            await bench.step(flush=True)
        else:
            dut.i.value = 0
            dut.rst.value = 1
            await bench.edge
            dut.rst.value = 0
            after = Bench(dut, PLENTY)
            after.verdicts, after.passed = bench.verdicts, bench.passed
            bench = after
        good = to_segments(good_tlp(MOST_DWORDS))
        bench.queue(good)
        await bench.send_all()
        assert bench.passed[-1] == good
    assert bench.verdicts[Verdict.MALFORMED] == 0
