"""Proofs of hdl.pcie.SharedCredits."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie.shared_credits import SharedCredits
from tb.prove import Proof

__all__ = ["PROOFS"]

COLUMN_COUNT = 3
HEADERS = 5
SEGMENT_COUNT = 2


class _Conservation(wiring.Component):
    """A sender that has ``HEADERS`` credits, and columns whose copies leave when they like.

    ``held`` are the broadcasts whose credit is not on its way back; each of them has, in each
    column, a copy that waits or one that was counted.
    """

    enter: Signal
    left: list[Signal]

    def __init__(self):
        super().__init__({"enter": In(1), "left": In(range(SEGMENT_COUNT + 1)).array(COLUMN_COUNT)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.credits = credits = SharedCredits(
            column_count=COLUMN_COUNT, segment_count=SEGMENT_COUNT, headers=HEADERS
        )
        sent = Signal(range(HEADERS + 1))
        frees = Signal()
        held = Signal(range(HEADERS + 1))
        all_left = Signal()
        m.d.comb += [
            frees.eq(Cat(count.any() for count in credits.counts).all()),
            held.eq(sent - credits.freed),
        ]
        m.d.sync += sent.eq(sent + self.enter - credits.freed)
        waits = []
        for column, (left, count) in enumerate(zip(self.left, credits.counts, strict=True)):
            waiting = Signal(range(HEADERS + 1), name=f"waiting_{column}")
            waits.append(waiting)
            m.d.comb += credits.left[column].eq(left)
            m.d.sync += waiting.eq(waiting + self.enter - left)
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Assume(left <= waiting, "what has come leaves"),
                    Assert(waiting + count == held, "a copy lost or doubled"),
                    Assert(count <= HEADERS, "a count overflows"),
                ]
        m.d.comb += all_left.eq(~Cat(waits).any())
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.enter | (sent < HEADERS), "a credit for each"),
                Assert(sent <= HEADERS, "more than the sender has"),
                Assert(credits.freed <= sent, "a credit from nothing"),
                Assert(~all_left | (frees == (held != 0)), "a credit does not come back"),
                Cover((credits.counts[0] == HEADERS) & (waits[1] == HEADERS), "one column waits"),
            ]
        return m


PROOFS = [
    Proof("pcie.SharedCredits/conservation", _Conservation, depth=3),
    Proof("pcie.SharedCredits/all wait for a column", _Conservation, depth=12, mode="cover"),
]
