"""Proofs of hdl.stream.AsyncQueue.

Both domains run from one clock, each with an enable that the solver chooses in every cycle: so
every order of the two clocks' edges is covered, though not metastability. Both sides start from
reset and are not reset again.

Bounded: 20 edges from reset, of which the common clear takes half. An induction would need the
flip-flops within Amaranth's synchronizers; a full queue is left to the simulation.
"""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import AsyncQueue, PacketSignature
from tb.prove import Proof

from .tracker import Tracker

__all__ = ["PROOFS"]


class _Order(wiring.Component):
    """A queue that keeps every beat and its place, in whichever order the clocks tick."""

    i: stream.Interface
    o: stream.Interface
    choose: Signal
    i_ticks: Signal
    o_ticks: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "i": In(PacketSignature(1)),
                "o": Out(PacketSignature(1)),
                "choose": In(1),
                "i_ticks": In(1),
                "o_ticks": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        queue = AsyncQueue(data_bytes=1, depth=2, i_domain="write", o_domain="read")
        ticking = EnableInserter({"write": self.i_ticks, "read": self.o_ticks})(queue)
        m.submodules.queue = DomainRenamer({"write": "sync", "read": "sync"})(ticking)
        m.submodules.tracker = tracker = Tracker(
            width=len(Value.cast(self.i.payload)), capacity=queue.capacity
        )
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        offered = Value.cast(self.o.payload)
        m.d.comb += [
            tracker.choose.eq(self.choose),
            tracker.enter.eq(self.i.valid & self.i.ready & self.i_ticks),
            tracker.entering.eq(Value.cast(self.i.payload)),
            tracker.leave.eq(self.o.valid & self.o.ready & self.o_ticks),
            Assume(~ResetSignal(), "no reset"),
        ]
        refused = Signal()
        before = Signal(len(offered))
        m.d.sync += [refused.eq(self.o.valid & ~tracker.leave), before.eq(offered)]
        m.d.comb += [
            Assert(tracker.level <= queue.capacity, "overflow"),
            Assert(~self.o.valid | (tracker.level != 0), "a beat is made up"),
            Assert(~refused | (self.o.valid & (offered == before)), "a refused offer changed"),
            Assert(
                ~(tracker.inside & self.o.valid & (tracker.ahead == 0))
                | (offered == tracker.payload),
                "another beat leaves",
            ),
        ]
        if self.cover:
            was_inside = Signal()
            m.d.sync += was_inside.eq(tracker.inside)
            m.d.comb += Cover(was_inside & ~tracker.inside, "a followed beat came through")
        return m


PROOFS = [
    Proof("stream.AsyncQueue/order in 20 edges, any clocks", _Order, depth=20, mode="bmc"),
    Proof("stream.AsyncQueue/a beat passes", lambda: _Order(cover=True), depth=20, mode="cover"),
]
