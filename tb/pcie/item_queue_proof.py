"""Proofs of hdl.pcie.item_queue."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie.item_queue import ItemQueue
from tb.prove import Proof

__all__ = ["PROOFS"]

_LANES = 2
_ROWS = 3
_FALLS = 3  # of `drop` that the queue tells apart


class _LeavesOnce(wiring.Component):
    """Watch one item, any: it leaves once, in its turn, unchanged, and is dropped if and only if.

    It is dropped if `drop` was high when it came or at any time before it left. As many leave
    as came.
    """

    i: Any
    drop: Signal
    ready: Signal
    chosen: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        self._queue = ItemQueue(shape=unsigned(1), lane_count=_LANES, row_count=_ROWS)
        super().__init__(
            {
                "i": In(self._queue.i.shape()),
                "drop": In(1),
                "ready": In(1),
                "chosen": In(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        m.d.comb += [
            queue.i.eq(self.i),
            queue.drop.eq(self.drop),
            queue.o.ready.eq(self.ready),
        ]

        # Items are numbered as they come and as they leave; `chosen` is the one watched.
        chosen = Signal(4)
        started = Signal()
        came = Signal(4)
        left = Signal(4)
        rows = Signal(4)
        came_now = Signal(2)
        falls = Signal(2)
        dropping = Signal()
        m.d.comb += came_now.eq(self.i.lanes[0] + self.i.lanes[1])
        m.d.sync += [
            started.eq(1),
            came.eq(came + came_now),
            left.eq(left + queue.left),
            dropping.eq(self.drop),
            falls.eq(falls + (dropping & ~self.drop)),
        ]
        with m.If(~started):
            m.d.sync += chosen.eq(self.chosen)

        value = Signal()
        spoiled = Signal()
        comes = Signal()
        second = self.i.lanes[0] & (chosen == came + 1)
        m.d.comb += comes.eq(started & ((chosen == came) | second) & (chosen - came < came_now))
        with m.If(comes):
            m.d.sync += [
                value.eq(Mux(second | ~self.i.lanes[0], self.i.items[1], self.i.items[0])),
                spoiled.eq(self.drop),
            ]
        with m.Elif(self.drop):
            m.d.sync += spoiled.eq(1)
        leaves = Signal()
        m.d.comb += leaves.eq(started & queue.left & (left == chosen))

        # Rows inside, at most: each has an item that has not left.
        m.d.comb += rows.eq(came - left)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(started | ~came_now.any(), "an item before the choice"),
                Assume((rows < _ROWS) | ~came_now.any(), "more rows than there is room for"),
                Assume((falls != _FALLS) | self.drop | ~dropping, "too many falls of drop"),
            ]
            if self.cover:
                m.d.comb += Cover(leaves & spoiled & (chosen == 2) & ~self.drop, "dropped later")
                m.d.comb += Cover(leaves & ~spoiled & (chosen == 5), "taken")
            else:
                taken = queue.o.valid & queue.o.ready
                m.d.comb += [
                    Assert(~queue.left | (left != came), "an item left that had not come"),
                    Assert(~leaves | (queue.o.payload == value), "an item changed"),
                    Assert(~leaves | (taken == ~(spoiled | self.drop)), "dropped, or not, wrongly"),
                    Assert(~taken | queue.left, "an item was taken and stays"),
                ]
        return m


PROOFS = [
    Proof("pcie.ItemQueue/each item leaves once", _LeavesOnce, depth=10, mode="bmc"),
    Proof(
        "pcie.ItemQueue/items are taken and dropped",
        lambda: _LeavesOnce(cover=True),
        depth=14,
        mode="cover",
    ),
]
