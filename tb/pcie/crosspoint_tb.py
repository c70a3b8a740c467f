"""cocotb testbench of hdl.pcie.Crosspoint."""

import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from hdl.pcie.parts import CreditAmountsLayout, LaneLayout
from hdl.pcie.tlp import TlpBeatLayout
from sim.pcie import CrosspointModel, Kind, Part, Tlp, TlpClass

from .random_tlps import random_tlp
from .segments import SEGMENT_WIDTH, to_segments

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
#: Header and data credits of each class, for which the queues have just enough rows.
CREDITS = [tuple(map(int, each.split("/"))) for each in os.environ["CREDITS"].split()]
ROW_COUNTS = [int(rows) for rows in os.environ["ROW_COUNTS"].split()]
EVERY_LENGTH = os.environ["EVERY_LENGTH"] == "True"
#: Queues of 2 rows: no more than one TLP of a class at a time, and of two segments.
FEWEST_ROWS = max(ROW_COUNTS) == 2
LATENCY = 2

_BEAT_BITS = TlpBeatLayout(SEGMENT_COUNT).size
_LANE = LaneLayout()
_LANE_FIELDS = {str(key): (field.offset, (1 << field.width) - 1) for key, field in LaneLayout()}
_FREED = CreditAmountsLayout(SEGMENT_COUNT.bit_length(), (2 * SEGMENT_COUNT).bit_length())
_ROW_BITS = SEGMENT_COUNT * SEGMENT_WIDTH
_SEGMENT_MASK = (1 << SEGMENT_WIDTH) - 1

Choice = Callable[[TlpClass, dict[int, Part]], list[int]]


def everything(tlp_class: TlpClass, offered: dict[int, Part]) -> list[int]:
    """Take all that is offered."""
    return list(offered)


def first_tlp(tlp_class: TlpClass, offered: dict[int, Part]) -> list[int]:
    """Take up to the end of the first TLP."""
    lanes = []
    for lane, part in sorted(offered.items()):
        lanes.append(lane)
        if part.ends:
            break
    return lanes


def nothing(tlp_class: TlpClass, offered: dict[int, Part]) -> list[int]:
    """Leave all."""
    return []


def sometimes(stalls: dict[TlpClass, float]) -> Choice:
    """Take all or the first TLP, or nothing with the probability of the class."""

    def choose(tlp_class: TlpClass, offered: dict[int, Part]) -> list[int]:
        if random.random() < stalls.get(tlp_class, 0):
            return []
        return random.choice([everything, first_tlp])(tlp_class, offered)

    return choose


class Sender:
    """Lanes of beats, as far as the credits allow.

    Attributes
    ----------
    queue : deque of (Tlp, bool)
        TLPs to send, and whether they belong to the crosspoint.
    gap, pause : float
        Probability of an idle lane between TLPs, of a cycle without a beat.
    first_lane : int or None
        Lane in which TLPs begin, each in a beat that has nothing else yet; None for any.
    """

    def __init__(self):
        self.queue: deque[tuple[Tlp, bool]] = deque()
        self.gap = 0.0
        self.pause = 0.0
        self.first_lane: int | None = None
        self.free = [list(each) for each in CREDITS]
        self._open: tuple[list[int], Tlp, bool, int] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether all has been sent."""
        return not self.queue and self._open is None

    def _begin(self, lane: int) -> None:
        tlp, mine = self.queue[0]
        free = self.free[tlp.tlp_class]
        if random.random() < self.gap:
            return
        if mine:
            if free[0] < 1 or free[1] < tlp.data_credits:
                return
            free[0] -= 1
            free[1] -= tlp.data_credits
        self.queue.popleft()
        self._open = to_segments(tlp), tlp, mine, 0

    def beat(self) -> tuple[int, int, list[Part | None]]:
        """Next beat, which of its lanes are selected, and what they are; idle lanes are rubbish."""
        beat = random.getrandbits(_BEAT_BITS) >> SEGMENT_COUNT << SEGMENT_COUNT
        select = random.getrandbits(SEGMENT_COUNT)
        lanes: list[Part | None] = [None] * SEGMENT_COUNT
        if random.random() < self.pause:
            return beat, select, lanes
        for lane in range(SEGMENT_COUNT):
            is_free = not beat & (1 << SEGMENT_COUNT) - 1 and lane == self.first_lane
            if self._open is None and self.queue and (is_free or self.first_lane is None):
                self._begin(lane)
            if self._open is None:
                continue
            segments, tlp, mine, number = self._open
            offset = SEGMENT_COUNT + lane * SEGMENT_WIDTH
            beat = beat & ~(_SEGMENT_MASK << offset) | segments[number] << offset | 1 << lane
            select = select & ~(1 << lane) | mine << lane
            if mine:
                lanes[lane] = Part(tlp, number)
            more = number + 1 < len(segments)
            self._open = (segments, tlp, mine, number + 1) if more else None
        return beat, select, lanes


class Bench:
    """The crosspoint and its model, cycle by cycle: all that comes out is foretold."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.edge = FallingEdge(dut.clk)
        self.choose: Choice = everything
        self.reset()

    def reset(self) -> None:
        """Begin with nothing inside."""
        self.model = CrosspointModel()
        self.sender = Sender()
        # Beats under way; posted rows that had left 3, 2 and 1 cycles ago.
        self.beats: deque[list[Part | None]] = deque([[]] * LATENCY)
        self.left = deque([0, 0, 0], maxlen=3)
        self.taken: list[dict[int, Part]] = [{} for _ in TlpClass]
        self.freed = deque([[(0, 0)] * 3] * 2)
        self.totals = [[0, 0] for _ in TlpClass]
        self.received: list[list[Tlp]] = [[] for _ in TlpClass]
        self.most_rows = [0] * 3

    async def cycle(self) -> int:
        """Spend a cycle; return how many lanes were taken in it."""
        await self.edge
        dut = self.dut
        self.model.write(self.beats.popleft(), self.left[0])
        self._check_segments()
        freed = _FREED.from_bits(int(dut.freed.value))
        for number, (headers, units) in enumerate(self.freed.popleft()):
            assert (freed[number]["headers"], freed[number]["data"]) == (headers, units)
            self.sender.free[number][0] += headers
            self.sender.free[number][1] += units

        amounts = []
        taken = 0
        for tlp_class in TlpClass:
            offered = self._check_head(tlp_class)
            lanes = self.choose(tlp_class, offered) if offered else []
            dut[f"heads__{tlp_class.value}__take"].value = sum(1 << lane for lane in lanes)
            parts, headers, units = {}, 0, 0
            if lanes:
                parts, headers, units = self.model.take(tlp_class, lanes)
            self.received[tlp_class] += [part.tlp for part in parts.values() if part.ends]
            self.taken[tlp_class] = parts
            amounts.append((headers, units))
            taken += len(lanes)
        self.freed.append(amounts)
        self.left.append(self.model.posted_left)

        beat, select, parts_in = self.sender.beat()
        dut.i.value, dut.select.value = beat, select
        self.beats.append(parts_in)
        return taken

    def _check_segments(self) -> None:
        """Check that what was taken a cycle ago is what came in."""
        if not any(self.taken):
            return
        value = int(self.dut.segments.value)
        for tlp_class, parts in enumerate(self.taken):
            for lane, part in parts.items():
                segment = value >> tlp_class * _ROW_BITS + lane * SEGMENT_WIDTH & _SEGMENT_MASK
                assert segment == to_segments(part.tlp)[part.number], f"lane {lane} has changed"

    def _check_head(self, tlp_class: TlpClass) -> dict[int, Part]:
        """Check a head against the model; return the lanes that may be taken."""
        dut, number = self.dut, tlp_class.value
        rows = self.model.rows[tlp_class]
        self.most_rows[number] = max(self.most_rows[number], len(rows))
        valid = bool(dut[f"heads__{number}__valid"].value)
        assert valid == bool(rows), f"{tlp_class.name} queue has {len(rows)} rows"
        if not valid:
            return {}
        expected = self.model.offered(tlp_class, self.left[1])
        allowed = bool(dut[f"heads__{number}__allowed"].value)
        assert allowed == bool(expected), f"{tlp_class.name}: {rows[0]} after {self.left[1]}"
        if not allowed:
            return {}
        bits = int(dut[f"heads__{number}__lanes"].value)
        for lane in range(SEGMENT_COUNT):
            fields = {
                name: bits >> lane * _LANE.size + offset & mask
                for name, (offset, mask) in _LANE_FIELDS.items()
            }
            assert fields["valid"] == (lane in expected), f"lane {lane}: {expected} expected"
            if lane in expected:
                part = rows[0].parts[lane]
                assert fields["sop"] == part.begins and fields["eop"] == part.ends
                assert fields["units"] == part.units
                assert not part.begins or fields["cost"] == part.tlp.data_credits
        return {lane: rows[0].parts[lane] for lane in expected}

    async def send(self, tlps: Iterable[Tlp], *, mine: float = 1.0) -> None:
        """Send TLPs and wait until nothing is inside; ``mine``: part of them that go here."""
        chosen = [(tlp, random.random() < mine) for tlp in tlps]
        self.sender.queue.extend(chosen)
        await self.drain()
        for tlp_class in TlpClass:
            sent = [tlp for tlp, is_mine in chosen if is_mine and tlp.tlp_class == tlp_class]
            assert self.received[tlp_class] == sent
            self.received[tlp_class] = []
            free = tuple(self.sender.free[tlp_class])
            assert free == CREDITS[tlp_class], f"{tlp_class.name}: {free} of {CREDITS[tlp_class]}"

    async def drain(self) -> None:
        """Wait until nothing is to be sent, inside, or on its way out."""
        while not self.sender.is_idle or any(map(any, self.beats)) or any(self.model.rows):
            await self.cycle()
        for _ in range(4):
            await self.cycle()


async def begin(dut) -> Bench:
    """Start the clock, hold reset for two cycles."""
    dut.rst.value = 1
    dut.i.value = dut.select.value = 0
    for number in range(3):
        dut[f"heads__{number}__take"].value = 0
    Clock(dut.clk, 2, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    return Bench(dut)


def write_of(dwords: int, *, kind: Kind = Kind.MEMORY, **fields: Any) -> Tlp:
    """Memory write, or another TLP with data."""
    return Tlp(kind=kind, data=random.randbytes(4 * dwords), length=dwords, **fields)


def read_of(**fields: Any) -> Tlp:
    """Memory read."""
    return Tlp(kind=Kind.MEMORY, length=8, **fields)


def completion_of(**fields: Any) -> Tlp:
    """Completion without data."""
    return Tlp(kind=Kind.COMPLETION, **fields)


def some_tlps(count: int, most_dwords: int) -> list[Tlp]:
    """TLPs of every kind, of few requesters, so that runs are long and short."""
    tlps = []
    while len(tlps) < count:
        tlp = random_tlp(most_dwords=most_dwords)
        if tlp.data_credits <= CREDITS[tlp.tlp_class][1]:
            tlp = tlp.with_changes(requester=random.choice([5, 5, 5, 6]))
            tlps.append(
                tlp.with_changes(completer=random.choice([5, 6])) if tlp.is_completion else tlp
            )
    return tlps


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(
    stalls=[
        {},
        {TlpClass.POSTED: 0.8},
        {TlpClass.NON_POSTED: 0.9},
        {TlpClass.COMPLETION: 0.8},
        {tlp_class: 0.5 for tlp_class in TlpClass},
    ],
    gap=[0.0, 0.4],
)
async def all_leaves_in_order_and_as_soon_as_it_may(dut, stalls, gap):
    """Random TLPs, some for other ports: heads, contents and credits are the model's."""
    bench = await begin(dut)
    bench.choose = sometimes(stalls)
    for most_dwords, pause in ((1, 0), (24, 0), (200, 0), (24, 0.5)):
        bench.sender.gap, bench.sender.pause = gap, pause
        await bench.send(some_tlps(60, most_dwords), mine=0.8)


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(tlp_class=list(TlpClass))
async def a_row_is_written_and_one_taken_in_each_cycle(dut, tlp_class):
    """Once the first row is there, every cycle takes a full one, until the last."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    make = {
        TlpClass.POSTED: lambda: write_of(random.choice([1, 9, 8])),
        TlpClass.NON_POSTED: read_of,
        TlpClass.COMPLETION: lambda: write_of(random.choice([1, 9, 8]), kind=Kind.COMPLETION),
    }[tlp_class]
    tlps = [make() for _ in range(20 * SEGMENT_COUNT)]
    bench.sender.free[tlp_class] = [10**6, 10**6]
    bench.sender.queue.extend((tlp, True) for tlp in tlps)
    for _ in range(LATENCY):
        assert await bench.cycle() == 0
    for _ in range(sum(tlp.segments for tlp in tlps) // SEGMENT_COUNT):
        assert await bench.cycle() == SEGMENT_COUNT


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(tlp_class=list(TlpClass))
async def the_worst_that_the_credits_allow_fills_the_last_row(dut, tlp_class):
    """TLPs that begin in the last lane, most with one segment more: each row gets used."""
    bench = await begin(dut)
    headers, data_credits = CREDITS[tlp_class]
    with_data, without = {
        TlpClass.POSTED: (Kind.MEMORY, Kind.MESSAGE_LOCAL),
        TlpClass.NON_POSTED: (Kind.SWAP, Kind.MEMORY),
        TlpClass.COMPLETION: (Kind.COMPLETION, Kind.COMPLETION),
    }[tlp_class]
    pairs = data_credits // 2
    seconds = min(pairs, headers)
    sizes = [int(number < seconds) for number in range(headers)]
    sizes[0] += pairs - seconds
    for _ in range(3):
        bench.sender.first_lane = SEGMENT_COUNT - 1
        bench.choose = nothing
        for pair_count in sizes:
            tlp = Tlp(kind=without, length=1)
            if pair_count:
                tlp = write_of(8 * pair_count, kind=with_data, digest=random.randbytes(4))
            bench.sender.queue.append((tlp, True))
        while not bench.sender.is_idle:
            await bench.cycle()
        for _ in range(LATENCY):
            await bench.cycle()
        assert bench.sender.free[tlp_class] == [0, data_credits % 2]
        bench.choose = everything
        await bench.drain()
    assert bench.most_rows[tlp_class] == ROW_COUNTS[tlp_class]


async def waiting_for(dut, *tlps: Tlp) -> tuple[Bench, list[bool]]:
    """Send TLPs, each in a beat of its own, to a crosspoint that keeps what is posted.

    Returns for each class whether its first TLP leaves all the same.
    """
    bench = await begin(dut)
    bench.choose = nothing
    bench.sender.first_lane = 0
    for tlp in tlps:
        bench.sender.queue.append((tlp, True))
        while not bench.sender.is_idle:
            await bench.cycle()
        for _ in range(4):
            await bench.cycle()
    moves = [
        bool(dut[f"heads__{n}__allowed"].value & dut[f"heads__{n}__valid"].value) for n in range(3)
    ]
    bench.choose = everything
    await bench.drain()
    return bench, moves


@cocotb.test(timeout_time=20, timeout_unit="us")
async def who_may_pass_a_posted_tlp(dut):
    """Try the table of ordering rules on a posted TLP of requester 5 that does not leave."""
    if FEWEST_ROWS:
        return
    posted = write_of(1, requester=5)
    cases = [
        (read_of(), False),
        (read_of(relaxed_ordering=True), False),
        (write_of(1, kind=Kind.SWAP), False),
        (write_of(1, kind=Kind.SWAP, relaxed_ordering=True), True),
        (read_of(id_ordering=True, requester=5), False),
        (read_of(id_ordering=True, requester=6), True),
        (read_of(requester=6), False),
        (completion_of(), False),
        (completion_of(relaxed_ordering=True), True),
        (completion_of(id_ordering=True, requester=6, completer=5), False),
        (completion_of(id_ordering=True, requester=5, completer=6), True),
        (completion_of(requester=5, completer=6), False),
    ]
    for tlp, passes in cases:
        _, moves = await waiting_for(dut, posted, tlp)
        assert moves[0], "a posted TLP waits"
        assert moves[tlp.tlp_class] == passes, str(tlp)
        assert moves[3 - tlp.tlp_class] is False
        # The other way round nothing waits.
        _, moves = await waiting_for(dut, tlp, posted)
        assert moves[0] and moves[tlp.tlp_class], str(tlp)
        # Behind two requesters, ID-based Ordering is not enough.
        _, moves = await waiting_for(dut, write_of(1, requester=7), posted, tlp)
        assert moves[tlp.tlp_class] == tlp.relaxed_ordering * (tlp.tlp_class == 2 or bool(tlp.data))


@cocotb.test(timeout_time=20, timeout_unit="us")
async def the_rest_of_a_tlp_does_not_wait(dut):
    """Where a row ends a completion and begins one that has to wait, the end is offered alone."""
    if SEGMENT_COUNT == 1 or FEWEST_ROWS:
        return
    bench = await begin(dut)
    long = write_of(8 * SEGMENT_COUNT + 1, kind=Kind.COMPLETION)
    bench.choose = lambda tlp_class, offered: [] if tlp_class == TlpClass.POSTED else list(offered)
    # The beat in which the first completion ends has a posted TLP, then the second completion.
    filler = [completion_of() for _ in range(SEGMENT_COUNT - 3)]
    bench.sender.queue.extend(
        (tlp, True) for tlp in (long, write_of(1), *filler[:1], completion_of(tag=1))
    )
    for _ in range(12):
        await bench.cycle()
    assert long in bench.received[TlpClass.COMPLETION]
    assert len(bench.received[TlpClass.COMPLETION]) == 1
    bench.choose = everything
    await bench.drain()
    assert len(bench.received[TlpClass.COMPLETION]) == 2 + len(filler[:1])


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(stuck=[TlpClass.NON_POSTED, TlpClass.COMPLETION])
async def a_class_that_is_held_up_for_long_keeps_its_turns(dut, stuck):
    """While hundreds of others pass, no count wraps: posted ones, and relaxed of its own kind."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    make = read_of if stuck == TlpClass.NON_POSTED else completion_of
    bench.choose = lambda tlp_class, offered: [] if tlp_class == stuck else list(offered)
    waiting = [make(tag=n) for n in range(3)]
    await_posted = [write_of(1) for _ in range(400)]
    bench.sender.queue.extend((tlp, True) for tlp in [await_posted[0], *waiting, *await_posted])
    while not bench.sender.is_idle:
        await bench.cycle()
    bench.choose = everything
    await bench.drain()
    assert bench.received[stuck] == waiting

    # Now a posted TLP is stuck, and relaxed completions pass it.
    bench.choose = lambda tlp_class, offered: [] if tlp_class == TlpClass.POSTED else list(offered)
    passing = [completion_of(relaxed_ordering=True, tag=n) for n in range(403)]
    strict = [completion_of(tag=n) for n in range(2)]
    bench.received[TlpClass.COMPLETION] = []
    bench.sender.free[TlpClass.COMPLETION] = [10**6, 10**6]
    bench.sender.queue.extend((tlp, True) for tlp in [write_of(1), *passing, *strict])
    while not bench.sender.is_idle:
        await bench.cycle()
    for _ in range(8):
        await bench.cycle()
    assert bench.received[TlpClass.COMPLETION] == passing
    bench.choose = everything
    await bench.drain()
    assert bench.received[TlpClass.COMPLETION] == passing + strict


@cocotb.test(timeout_time=200, timeout_unit="us")
async def data_credits_of_every_length(dut):
    """With and without a digest, the segments' credits add up to the TLP's: to what was spent."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    for tlp_class in TlpClass:
        bench.sender.free[tlp_class] = [10**6, 10**6]
    lengths = [*range(80), *(range(80, 1025) if EVERY_LENGTH else range(1024, 80, -53))]
    for dwords in lengths:
        for digest in (None, bytes(4)):
            fields = {"digest": digest, "kind": random.choice([Kind.MEMORY, Kind.COMPLETION])}
            tlp = write_of(dwords, **fields) if dwords else completion_of(digest=digest)
            bench.sender.queue.append((tlp, True))
    before = [list(free) for free in bench.sender.free]
    await bench.drain()
    assert bench.sender.free == before


@cocotb.test(timeout_time=20, timeout_unit="us")
async def reset_within_anything_forgets_it(dut):
    """After a reset at any time nothing is inside, nothing is freed, and all works."""
    bench = await begin(dut)
    for _ in range(12):
        bench.choose = sometimes({tlp_class: random.random() for tlp_class in TlpClass})
        bench.sender.queue.extend((tlp, True) for tlp in some_tlps(60, 40))
        for _ in range(random.randint(5, 60)):
            await bench.cycle()
        dut.rst.value = 1
        dut.i.value = 0
        for number in range(3):
            dut[f"heads__{number}__take"].value = 0
        await ClockCycles(dut.clk, 2)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        bench.reset()
        bench.choose = sometimes({})
        await bench.send(some_tlps(20, 40))
