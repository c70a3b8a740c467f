"""Proofs of hdl.pcie.Fence."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie.fence import Fence
from tb.prove import Proof

__all__ = ["PROOFS"]

ROWS = 4


class _Order(wiring.Component):
    """A queue of rows, each with a mark: it stood there when the item was first offered."""

    comes: Signal
    leaves: Signal
    offered: Signal
    ready: Signal

    def __init__(self):
        super().__init__({"comes": In(1), "leaves": In(1), "offered": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fence = fence = Fence(shape=1)
        rows = Signal(range(ROWS + 1))
        marks = Signal(ROWS)  # bit 0 is the oldest row
        was_offered = Signal()
        marked = Signal(ROWS)
        present = Signal(ROWS)
        m.d.comb += [
            present.eq((1 << rows) - 1),
            marked.eq(Mux(was_offered, marks, present)),
            fence.posted.inside.eq(rows),
            fence.posted.leaves.eq(self.leaves),
            fence.i.valid.eq(self.offered),
            fence.o.ready.eq(self.ready),
        ]
        m.d.sync += [
            rows.eq(rows + self.comes - self.leaves),
            marks.eq(marked >> self.leaves),
            was_offered.eq(self.offered & ~fence.i.ready),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.leaves | (rows != 0), "a row leaves"),
                Assume(~self.comes | (rows != ROWS), "the queue has room"),
                Assert(~fence.o.valid | was_offered & (marks == 0), "passes a row"),
                Assert(
                    ~(self.offered & was_offered & (marks == 0)) | fence.o.valid,
                    "waits for nothing",
                ),
                Assert(fence.o.valid | ~fence.i.ready | ~self.offered, "leaves without passing"),
                Assert(fence.noted == was_offered, "state"),
                Assert(~was_offered | (marks == (1 << fence.remaining) - 1), "rows counted"),
                Assert((marks & ~present) == 0, "marks of rows"),
                Assert(rows <= ROWS, "rows of the queue"),
                Cover(fence.o.valid & (rows == ROWS), "rows behind are not waited for"),
            ]
        return m


PROOFS = [
    Proof("pcie.Fence/passes no row, and waits for none behind", _Order, depth=3),
    Proof("pcie.Fence/passes while the queue is full", _Order, depth=14, mode="cover"),
]
