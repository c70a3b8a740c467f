"""Order between the queues of a crosspoint: what waits for posted rows."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Run", "Turns"]


class Turns(wiring.Component):
    """Count the rows of a class that no posted row holds back any more.

    Rows that wait for posted ones, in short waiters, leave in order, so a count says all: the
    first ``turns`` of them may go. Each posted row remembers how many came between the posted row
    before it and itself; when it gets first in its queue, these may go, and when the queue gets
    empty, all. No count exceeds the rows of the class, so none ever wraps, however long a class is
    held up while others move: that is what tickets, compared with a running count, would do.

    Members
    -------
    waiter : In(1), behind : In(1)
        A waiter is written; it has to wait for the posted row that is written with it, too.
    posted_write : In(1)
        A posted row is written; ``before`` goes with it.
    before : Out(range(rows + 1))
        Waiters since the posted row before.
    posted_valid, posted_fresh : In(1), posted_before : In(range(rows + 1))
        The posted queue's head, and ``before`` of it.
    leaves : In(1)
        The first waiter leaves; may be late in the cycle.
    may_go : Out(1)
        The first waiter may; registered.
    """

    waiter: Signal
    behind: Signal
    posted_write: Signal
    before: Signal
    posted_valid: Signal
    posted_fresh: Signal
    posted_before: Signal
    leaves: Signal
    may_go: Signal

    def __init__(self, *, rows: int):
        self.rows = rows
        super().__init__(
            {
                "waiter": In(1),
                "behind": In(1),
                "posted_write": In(1),
                "before": Out(range(rows + 1)),
                "posted_valid": In(1),
                "posted_fresh": In(1),
                "posted_before": In(range(rows + 1)),
                "leaves": In(1),
                "may_go": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Waiters behind the last posted row; those that stay behind the next one.
        last = Signal(range(self.rows + 1))
        since = Signal.like(last)
        m.d.comb += since.eq(last + (self.waiter & ~self.behind))
        released = Signal.like(last)
        with m.If(self.posted_valid):
            m.d.comb += self.before.eq(since)
            m.d.sync += last.eq(Mux(self.posted_write, self.behind, since + self.behind))
            with m.If(self.posted_fresh):
                m.d.comb += released.eq(self.posted_before)
        with m.Else():
            m.d.comb += released.eq(since)
            m.d.sync += last.eq(self.behind)

        turns = Signal.like(last)
        more = Signal.like(last)
        less = Signal.like(last)
        m.d.comb += [more.eq(turns + released), less.eq(turns + released - 1)]
        m.d.sync += [
            turns.eq(Mux(self.leaves, less, more)),
            self.may_go.eq(Mux(self.leaves, less.any(), more.any())),
        ]
        return m


class Run(wiring.Component):
    """Tell whether all posted rows that are inside belong to one requester.

    The run are the latest posted rows, all of one requester. A change of it is reported with the
    row in which it happens.

    Members
    -------
    write : In(1)
        A posted row is written.
    changes : In(1), with_others : In(1)
        With ``write``: its last TLP's requester begins a run; other TLPs are in the row, too.
    leaves : In(1)
        A posted row leaves; may be late in the cycle.
    alone : Out(1)
        No row older than the run is inside. Rows of the same cycle are not counted; that a row
        has left is seen a cycle later.
    inside : Out(range(rows + 2)), left : Out(1)
        Rows inside, that which has ``left`` a cycle ago included; registered.
    """

    write: Signal
    changes: Signal
    with_others: Signal
    leaves: Signal
    alone: Signal
    inside: Signal
    left: Signal

    def __init__(self, *, rows: int):
        self.rows = rows
        super().__init__(
            {
                "write": In(1),
                "changes": In(1),
                "with_others": In(1),
                "leaves": In(1),
                "alone": Out(1),
                "inside": Out(range(rows + 2)),
                "left": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        older = Signal.like(self.inside)
        staying = Signal.like(self.inside)
        m.d.comb += [staying.eq(self.inside - self.left), self.alone.eq(older == 0)]
        m.d.sync += [self.left.eq(self.leaves), self.inside.eq(staying + self.write)]
        with m.If(self.changes):
            m.d.sync += older.eq(staying + self.with_others)
        with m.Elif(self.left & ~self.alone):
            m.d.sync += older.eq(older - 1)
        return m
