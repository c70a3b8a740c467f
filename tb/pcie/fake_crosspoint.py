"""Crosspoints and the credit gate in front of an egress under test, in Python."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdl.pcie.parts import HeadNeedsLayout, LaneLayout
from sim.pcie.tlp import Tlp, TlpClass

from .segments import SEGMENT_WIDTH, to_segments

__all__ = ["CreditAmounts", "FakeQueue", "FakeRow", "fill_rows"]


def _offsets(layout: Any) -> dict[str, int]:
    return {name: field_.offset for name, field_ in layout}


_LANE = _offsets(LaneLayout())
_LANE_WIDTH = LaneLayout().size


@dataclass
class Lane:
    """A segment of a row, and what arbitration knows of it."""

    tlp: Tlp
    bits: int
    sop: bool
    eop: bool
    cost: int

    def as_head(self) -> int:
        """Bits of a valid ``LaneLayout``."""
        value = 1 << _LANE["valid"] | self.sop << _LANE["sop"] | self.eop << _LANE["eop"]
        return value | self.cost << _LANE["cost"]


@dataclass
class FakeRow:
    """Lanes of one beat that belong to one queue.

    Parameters
    ----------
    lanes : dict of int to Lane
        What is left.
    hold : int
        Cycles at the head in which TLPs that begin in it may not go.
    masked : bool
        Meanwhile it shows only the lanes of the TLP that began before, and allows them.
    """

    lanes: dict[int, Lane] = field(default_factory=dict)
    hold: int = 0
    masked: bool = False

    def begun(self) -> dict[int, Lane]:
        """Lanes at its beginning of a TLP that began in an earlier row."""
        begun = {}
        for number, lane in sorted(self.lanes.items()):
            if lane.sop:
                break
            begun[number] = lane
        return begun


def fill_rows(
    tlps: deque[Tlp], segment_count: int, gap: Callable[[], bool]
) -> list[list[FakeRow | None]]:
    """Lay ``tlps`` into beats; each beat is a row for each class, or None.

    A list of beats is returned, cut after a beat at whose end no TLP is open.
    """
    beats: list[list[FakeRow | None]] = []
    open_lanes: deque[Lane] = deque()
    while tlps or open_lanes:
        beat: list[FakeRow | None] = [None, None, None]
        for number in range(segment_count):
            if not open_lanes:
                if not tlps or gap():
                    continue
                tlp = tlps.popleft()
                segments = to_segments(tlp)
                last = len(segments) - 1
                open_lanes.extend(
                    Lane(tlp, bits, n == 0, n == last, tlp.data_credits)
                    for n, bits in enumerate(segments)
                )
            lane = open_lanes.popleft()
            row = beat[lane.tlp.tlp_class] or FakeRow()
            beat[lane.tlp.tlp_class] = row
            row.lanes[number] = lane
        beats.append(beat)
        if not open_lanes:
            break
    return beats


class FakeQueue:
    """One queue of a crosspoint, with its head and its RAM's output.

    Parameters
    ----------
    dut, source, tlp_class, segment_count
        Which one.
    taken : callable
        Told the lanes of each take.
    """

    def __init__(
        self,
        dut: Any,
        source: int,
        tlp_class: TlpClass,
        segment_count: int,
        taken: Callable[["FakeQueue", list[Lane]], None],
    ):
        name = f"heads__{source}__{tlp_class.value}__"
        self.source = source
        self.tlp_class = tlp_class
        self.segment_count = segment_count
        self.taken = taken
        self.rows: deque[FakeRow] = deque()
        self.offered: dict[int, Lane] = {}
        self._needs = _offsets(HeadNeedsLayout(segment_count))
        self._valid, self._allowed, self._lanes, self._needs_port, self._take, self._whole = (
            dut[name + member] for member in ("valid", "allowed", "lanes", "needs", "take", "whole")
        )
        self._segments = dut[f"segments__{source}__{tlp_class.value}"]
        self._drive()

    def step(self) -> None:
        """Take what was taken in the cycle that ends, and offer what is left."""
        if not self.rows:
            return
        if self._take.value:
            taken = self.offered if self._whole.value else self._first()
            assert taken, "took of a row that offers nothing"
            row = self.rows[0]
            lanes = [row.lanes.pop(n) for n in sorted(taken)]
            # The other lanes of the row mean nothing.
            bits = random.getrandbits(SEGMENT_WIDTH * self.segment_count)
            for n, lane in self.offered.items():
                bits &= ~((1 << SEGMENT_WIDTH) - 1 << n * SEGMENT_WIDTH)
                bits |= lane.bits << n * SEGMENT_WIDTH
            self._segments.value = bits
            if not row.lanes:
                self.rows.popleft()
            self.taken(self, lanes)
        elif self.rows[0].hold:
            self.rows[0].hold -= 1
        self._drive()

    def flush(self) -> None:
        """Be empty."""
        self.rows.clear()
        self._drive()

    def _first(self) -> dict[int, Lane]:
        """Lanes up to the first eop."""
        first = {}
        for n, lane in sorted(self.offered.items()):
            first[n] = lane
            if lane.eop:
                break
        return first

    def _drive(self) -> None:
        row = self.rows[0] if self.rows else None
        allowed = False
        self.offered = {}
        if row is not None:
            self.offered = dict(sorted(row.lanes.items()))
            allowed = not row.hold
            if row.hold and row.masked:
                self.offered = row.begun()
                allowed = bool(self.offered)
        lanes = needs = 0
        first_done = False
        headers = cost = 0
        for n, lane in self.offered.items():
            lanes |= lane.as_head() << n * _LANE_WIDTH
        # Of the whole row, also of what is not offered.
        for place, (n, lane) in enumerate(sorted(row.lanes.items()) if row else ()):
            if not first_done:
                needs |= 1 << n + self._needs["first"]
                first_done = lane.eop
            if place == 0:
                needs |= lane.cost << self._needs["first_cost"]
            headers += lane.sop
            cost += lane.cost * lane.sop
        self._valid.value = int(row is not None)
        self._allowed.value = int(allowed)
        self._lanes.value = lanes
        self._needs_port.value = (
            needs | headers << self._needs["headers"] | cost << self._needs["cost"]
        )


class CreditAmounts:
    """The credit gate: what is available, from grants, and what is spent.

    Attributes
    ----------
    headers, data : list of int
        Credits left by class; None where there is no limit.
    """

    HEADER_BITS = 13
    DATA_BITS = 17

    def __init__(self, dut: Any):
        self._available = dut.available
        self._spend = dut.spend
        self.headers: list[int | None] = [0, 0, 0]
        self.data: list[int | None] = [0, 0, 0]
        self._grace = 0
        self.spent = [[0, 0] for _ in range(3)]
        self.drive()

    def cut(self) -> None:
        """Take all back; what is spent in this cycle and the next is of no account."""
        self.headers = [0, 0, 0]
        self.data = [0, 0, 0]
        self._grace = 2

    def step(self) -> None:
        """Subtract what is spent in the cycle that ends."""
        spend = int(self._spend.value)
        if self._grace:
            self._grace -= 1
            spend = 0
        for number in range(3):
            headers, data = spend >> 14 * number & 7, spend >> 14 * number + 3 & 0x7FF
            self.spent[number][0] += headers
            self.spent[number][1] += data
            for kind, amount in ((self.headers, headers), (self.data, data)):
                left = kind[number]
                if left is not None:
                    assert amount <= left, f"{amount} of {left} credits spent, class {number}"
                    kind[number] = left - amount
        self.drive()

    def drive(self) -> None:
        """Show what is left."""
        value = 0
        for number in range(3):
            headers, data = self.headers[number], self.data[number]
            headers = (1 << self.HEADER_BITS) - 1 if headers is None else min(headers, 2048)
            data = (1 << self.DATA_BITS) - 1 if data is None else min(data, 32768)
            value |= (headers | data << self.HEADER_BITS) << 30 * number
        self._available.value = value
