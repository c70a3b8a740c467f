"""A crosspoint under test, a sender that keeps to its credits, and the model."""

import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from hdl.pcie.parts import CreditAmountsLayout, LaneLayout, PostedRowsLayout
from hdl.pcie.tlp import TlpBeatLayout
from sim.pcie import CrosspointModel, Kind, Part, Tlp, TlpClass

from .segments import SEGMENT_WIDTH, changed, to_segments

__all__ = [
    "CREDITS",
    "LATENCY",
    "ROW_COUNTS",
    "SEGMENT_COUNT",
    "Bench",
    "begin",
    "everything",
    "nothing",
    "sometimes",
]

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
#: Header and data credits of each class, for which the queues have just enough rows.
CREDITS = [tuple(map(int, each.split("/"))) for each in os.environ["CREDITS"].split()]
ROW_COUNTS = [int(rows) for rows in os.environ["ROW_COUNTS"].split()]
LATENCY = 2

_BEAT_BITS = TlpBeatLayout(SEGMENT_COUNT).size
_LANE = LaneLayout()
_LANE_FIELDS = {str(key): (field.offset, (1 << field.width) - 1) for key, field in LaneLayout()}
_FREED = CreditAmountsLayout(SEGMENT_COUNT.bit_length(), (2 * SEGMENT_COUNT).bit_length())
_POSTED = PostedRowsLayout()
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


def _lanes(tlp: Tlp) -> list[int]:
    """Segments of ``tlp``; the headers of all but the first mean nothing, so they mislead."""
    first, *others = to_segments(tlp)
    return [first, *(changed(each, header__type=Kind.MESSAGE_BROADCAST) for each in others)]


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
        self._open = _lanes(tlp), tlp, mine, 0

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
    """The crosspoint and its model, cycle by cycle: all that comes out is foretold.

    Attributes
    ----------
    choose : Choice
        What is taken of each head: what :func:`everything`, :func:`first_tlp` or :func:`nothing`
        would take.
    pick_whole : callable
        Picks a value of ``whole`` where both come to the same.
    """

    def __init__(self, dut: Any):
        self.dut = dut
        self.edge = FallingEdge(dut.clk)
        self.choose: Choice = everything
        self.pick_whole: Callable[[list[int]], int] = random.choice
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
        self.shared_left = deque([0] * 2)
        self.shared = 0
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

        shared = int(dut.shared_left.value)
        assert shared == self.shared_left.popleft()
        # A broadcast's credit would come back when other queues have sent it, too.
        self.sender.free[0][0] += shared
        self.shared += shared
        self._check_posted()

        amounts = []
        taken = 0
        shared = 0
        for tlp_class in TlpClass:
            offered = self._check_head(tlp_class)
            lanes = self.choose(tlp_class, offered) if offered else []
            # By `whole`.
            ways = enumerate((first_tlp, everything))
            fits = [n for n, way in ways if not lanes or way(tlp_class, offered) == lanes]
            dut[f"heads__{tlp_class.value}__take"].value = bool(lanes)
            dut[f"heads__{tlp_class.value}__whole"].value = self.pick_whole(fits)
            parts, headers, units = {}, 0, 0
            if lanes:
                parts, headers, units = self.model.take(tlp_class, lanes)
            self.received[tlp_class] += [part.tlp for part in parts.values() if part.ends]
            self.taken[tlp_class] = parts
            shared += sum(part.is_shared for part in parts.values())
            amounts.append((headers, units))
            taken += len(lanes)
        self.freed.append(amounts)
        self.shared_left.append(shared)
        self.left.append(self.model.posted_left)

        beat, select, parts_in = self.sender.beat()
        dut.i.value, dut.select.value = beat, select
        self.beats.append(parts_in)
        return taken

    def _check_posted(self) -> None:
        """Check what is told of posted rows: those of beats that came 2 cycles ago, less others."""
        posted = _POSTED.from_bits(int(self.dut.posted.value))
        assert posted["leaves"] == self.left[-1] - self.left[-2]
        assert posted["inside"] == self.model.posted_count - self.left[-2]

    def _check_segments(self) -> None:
        """Check that what was taken a cycle ago is what came in."""
        if not any(self.taken):
            return
        value = int(self.dut.segments.value)
        for tlp_class, parts in enumerate(self.taken):
            for lane, part in parts.items():
                segment = value >> tlp_class * _ROW_BITS + lane * SEGMENT_WIDTH & _SEGMENT_MASK
                assert segment == _lanes(part.tlp)[part.number], f"lane {lane} has changed"

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
        dut[f"heads__{number}__take"].value = dut[f"heads__{number}__whole"].value = 0
    Clock(dut.clk, 2, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    return Bench(dut)
