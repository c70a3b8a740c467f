"""Proofs of hdl.dma.TagReturn.

With what is proved of ``TagPool``, whose tags are given back only by who holds them, a tag is never
in two requests.
"""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.dma import TagReturn
from hdl.dma.memory_port import MemoryStatus
from hdl.dma.parts import DeliveredLayout
from hdl.dma.tag_timer import TagFailingLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

CLIENTS = 2
TAGS = 4
#: Quarters that must begin before a tag whose read was late is used again.
QUARTERS = 5


class _Watched(wiring.Component):
    """One tag, whichever it is, that is delivered, in time or late, among any others.

    If it fails, this begins while it is held, or in the cycle after it was delivered.
    """

    watched: Signal
    delivers: Signal
    delivered: data.View
    failing: data.View
    tick: Signal

    def __init__(self):
        super().__init__(
            {
                "watched": In(range(TAGS)),
                "delivers": In(1),
                "delivered": In(DeliveredLayout(CLIENTS, TAGS)),
                "failing": In(TagFailingLayout(TAGS)),
                "tick": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tag_return = back = TagReturn(client_count=CLIENTS, tag_count=TAGS)
        time = Signal(4)
        m.d.sync += time.eq(time + self.tick)
        m.d.comb += [
            back.delivered.valid.eq(self.delivers),
            back.delivered.payload.eq(self.delivered),
            back.failing.eq(self.failing),
            back.time.eq(time),
        ]

        is_delivered = Signal()
        is_given = Signal()
        fails = Signal()
        m.d.comb += [
            is_delivered.eq(self.delivers & (self.delivered.tag == self.watched)),
            is_given.eq(back.given.valid & (back.given.tag == self.watched)),
            fails.eq(self.failing.valid & (self.failing.tag == self.watched)),
        ]
        is_inside = Signal()
        owner = Signal(range(CLIENTS))
        is_late = Signal()
        begun = Signal(range(QUARTERS + 1))
        with m.If(is_given):
            m.d.sync += is_inside.eq(0)
        with m.If(self.tick & (begun != QUARTERS)):
            m.d.sync += begun.eq(begun + 1)
        with m.If(is_delivered & back.delivered.ready):
            m.d.sync += [
                is_inside.eq(1),
                owner.eq(self.delivered.client),
                is_late.eq(self.delivered.status == MemoryStatus.TIMEOUT),
                begun.eq(0),
            ]

        has_past = Signal()
        was_waiting = Signal()
        was_delivered = Signal.like(self.delivered)
        was_failing = Signal()
        was_inside = Signal()
        was_watched = Signal.like(self.watched)
        m.d.sync += [
            has_past.eq(1),
            was_waiting.eq(self.delivers & ~back.delivered.ready),
            was_delivered.eq(self.delivered),
            was_failing.eq(fails),
            was_inside.eq(is_inside),
            was_watched.eq(self.watched),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~has_past | (self.watched == was_watched), "the same all the time"),
                Assume(~is_delivered | ~is_inside, "is delivered once"),
                Assume(
                    ~was_waiting | (self.delivers & (self.delivered == was_delivered)),
                    "a delivery is not taken back",
                ),
                Assume(
                    ~fails | was_failing | ~(is_inside & was_inside),
                    "begins to fail while it is held, or in the cycle after",
                ),
            ]
            with m.If(is_given):
                m.d.comb += [
                    Assert(is_inside, "given back, but not delivered"),
                    Assert(back.given.client == owner, "whose it is not"),
                    Assert(~is_late | (begun == QUARTERS), "too early"),
                    Assert(~fails, "while it fails"),
                    Cover(is_late, "out of quarantine"),
                ]
        return m


PROOFS = [
    Proof(
        "dma.TagReturn/gives a tag back once, to whom it was, not too early",
        _Watched,
        depth=11,
        mode="bmc",
    ),
    Proof("dma.TagReturn/a tag comes out of quarantine", _Watched, depth=9, mode="cover"),
]
