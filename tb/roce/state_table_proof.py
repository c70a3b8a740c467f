"""Proof of hdl.roce.StateTable: turns, as if each began after the one before had ended."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.state_table import StateTable
from tb.prove import Proof

__all__ = ["PROOFS"]

_BITS = 2
_DEPTH = 4


class _Watched(StateTable):
    """The table, with a look at one row of its memory."""

    def __init__(self, write_cycles: int, late_cycles: int):
        super().__init__(
            shape=unsigned(_BITS),
            depth=_DEPTH,
            write_cycles=write_cycles,
            late_cycles=late_cycles,
        )
        self.watched = Signal(range(_DEPTH))
        self.seen = Signal(_BITS)

    def elaborate(self, platform):
        m: Any = super().elaborate(platform)
        peek = m.submodules.rows.read_port(domain="comb")
        m.d.comb += [peek.addr.eq(self.watched), self.seen.eq(peek.data)]
        return m


class _Turns(wiring.Component):
    """Whoever has a turn writes its row early, late or not at all; any values, any order.

    One row is watched. ``row`` is what whoever had it last left there; it is unknown from a turn on
    until its writer is done, and no turn finds it unknown.
    """

    watched: Signal
    wants: Signal
    index: Signal
    late: Signal
    leaves: Signal
    value: Signal

    def __init__(self, write_cycles: int, late_cycles: int):
        self.write_cycles = write_cycles
        self.late_cycles = late_cycles
        super().__init__(
            {
                "watched": In(range(_DEPTH)),
                "wants": In(1),
                "index": In(range(_DEPTH)),
                "late": In(1),
                "leaves": In(1),
                "value": In(_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at, late_at = self.write_cycles, self.late_cycles
        m.submodules.table = table = _Watched(at, late_at)
        m.d.comb += [
            table.wants.eq(self.wants),
            table.index.eq(self.index),
            table.late.eq(self.late),
        ]
        # Any row, but one for all time; it begins with what the memory has at first.
        watched = self.watched
        same = Signal(range(_DEPTH), reset_less=True)
        started = Signal(reset_less=True)
        m.d.sync += [same.eq(watched), started.eq(1)]
        m.d.comb += Assume(~started | (watched == same), "one row for all time")

        # Turns on their way, by the cycles since they began; those that write late, and when.
        ages = range(1, late_at + 1)
        valid = [Signal(name=f"valid_{n}") for n in (0, *ages)]
        index = [Signal(range(_DEPTH), name=f"index_{n}") for n in (0, *ages)]
        late = [Signal(name=f"late_{n}") for n in (0, *ages)]
        m.d.comb += [
            valid[0].eq(table.turn),
            index[0].eq(self.index),
            late[0].eq(self.late),
        ]
        for n in ages:
            m.d.sync += [
                valid[n].eq(valid[n - 1]),
                index[n].eq(index[n - 1]),
                late[n].eq(late[n - 1]),
            ]
        # At 3 or 5 it writes, or if it said so, it may leave that for later.
        writes_late = [Signal(name=f"writes_late_{n}") for n in range(at + 1, late_at + 1)]
        m.d.sync += writes_late[0].eq(valid[at] & late[at] & self.leaves)
        m.d.sync += [after.eq(b) for after, b in zip(writes_late[1:], writes_late, strict=False)]
        early = valid[at] & ~(late[at] & self.leaves)
        m.d.comb += [
            table.write.eq(early),
            table.write_index.eq(index[at]),
            table.write_row.eq(self.value),
            table.late_write.eq(writes_late[-1]),
            table.late_index.eq(index[late_at]),
            table.late_row.eq(self.value),
        ]

        # What the watched row holds, and whether somebody has it.
        row = Signal(_BITS, reset_less=True)  # as the memory
        mine = [v & (i == watched) for v, i in zip(valid, index, strict=True)]
        with m.If((early & mine[at]) | (writes_late[-1] & mine[late_at])):
            m.d.sync += row.eq(self.value)
        with m.Elif(~started):
            m.d.sync += row.eq(table.seen)
        owners = sum(mine[n] for n in range(1, at + 1)) + sum(
            w & mine[n] for n, w in zip(range(at + 1, late_at + 1), writes_late, strict=True)
        )
        m.d.comb += [
            table.watched.eq(watched),
            # In reset, too: the memory knows of none.
            Assert(~started | (table.seen == row), "the memory has what was left"),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~mine[2] | (table.row == row), "finds what was left"),
                Assert(~mine[3] | (table.row == row), "and still has it"),
                Assert(owners <= 1, "one at a time"),
                Assert(~table.turn | (owners == 0) | ~mine[0], "a turn only when it is free"),
                Assert(~table.write | table.phase, "early writes have their cycle"),
                Assert(~table.late_write | ~table.phase, "late writes have theirs"),
                Cover(mine[0] & mine[at + 1], "the next one, as soon as it may be"),
                Cover(mine[2] & writes_late[-1], "another row's late write, meanwhile"),
            ]
            # The table's own list is this one's.
            for step, turn in enumerate(table._taken):
                age = 2 * step + 2
                same = (turn.valid == valid[age]) & (
                    ~turn.valid | ((turn.index == index[age]) & (turn.late == late[age]))
                )
                m.d.comb += Assert(table.phase | same, "book of turns, at even cycles")
            for n in ages:
                odd = bool(n % 2)
                m.d.comb += Assert(~valid[n] | (table.phase == odd), "turns begin in even cycles")
        return m


PROOFS = [
    Proof("roce.StateTable/each turn finds what the one before left", lambda: _Turns(3, 10), 16),
    Proof("roce.StateTable/turns as close as they may be", lambda: _Turns(3, 10), 24, mode="cover"),
    Proof("roce.StateTable/5, 14: each turn finds what was left", lambda: _Turns(5, 14), 20),
    Proof(
        "roce.StateTable/5, 14: as close as they may be", lambda: _Turns(5, 14), 28, mode="cover"
    ),
]
