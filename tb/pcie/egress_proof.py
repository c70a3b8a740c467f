"""Proofs of hdl.pcie.Egress."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie import Egress
from hdl.pcie.parts import CreditAmountsLayout, HeadSignature, needs_of
from hdl.pcie.tlp import CLASS_COUNT, TlpClass
from tb.prove import Proof

__all__ = ["PROOFS"]

_SOURCES = 2


def _takes(head: Any, lane: int) -> Value:
    """Whether ``lane`` of a head is taken."""
    return head.take & Mux(head.whole, head.lanes[lane].valid, head.needs.first[lane])


class _Environment(wiring.Component):
    """Crosspoints that offer anything well-formed, and credits that come as they like."""

    heads: Any
    grants: Any
    port_up: Signal
    ready: Signal
    dead_ready: Signal

    def __init__(self, *, segment_count: int, quantum_rows: int):
        self.egress = Egress(
            source_count=_SOURCES, segment_count=segment_count, quantum_rows=quantum_rows
        )
        super().__init__(
            {
                "heads": In(HeadSignature(segment_count)).array(_SOURCES, CLASS_COUNT),
                "grants": In(CreditAmountsLayout(3, 11)),
                "port_up": In(1),
                "ready": In(1),
                "dead_ready": In(1),
            }
        )
        # Of each queue, by source, then class: its last lane that was taken was no eop.
        self.inside = Signal(_SOURCES * CLASS_COUNT)
        self.left = Signal(CreditAmountsLayout(13, 17))

    def elaborate(self, platform):
        m = Module()
        m.submodules.egress = egress = self.egress
        lanes = range(egress.segment_count)
        m.d.comb += [
            egress.port_up.eq(self.port_up),
            egress.o.ready.eq(self.ready),
            egress.dead.ready.eq(self.dead_ready),
            egress.available.eq(self.left),
        ]
        for c in range(CLASS_COUNT):
            for name in ("headers", "data"):
                left, spend, grant = (
                    getattr(amounts[c], name) for amounts in (self.left, egress.spend, self.grants)
                )
                # Never so many that they wrap: the gate sees to that.
                m.d.sync += left.eq(left - spend + Mux(left[-1], 0, grant))

        with m.If(~ResetSignal()):
            for q, head in enumerate(head for source in self.heads for head in source):
                wiring.connect(
                    m, wiring.flipped(head), egress.heads[q // CLASS_COUNT][q % CLASS_COUNT]
                )
                m.d.comb += Assume(
                    head.needs.as_value() == needs_of(head.lanes, egress.segment_count), "needs"
                )
                open_before: Value = self.inside[q]
                taken_open: Value = self.inside[q]
                for n in lanes:
                    lane = head.lanes[n]
                    m.d.comb += [
                        Assume(~head.valid | ~lane.valid | (lane.sop == ~open_before), "sop"),
                        Assume(lane.cost <= 256, "cost"),
                    ]
                    open_before = Mux(lane.valid, ~lane.eop, open_before)
                    taken_open = Mux(_takes(head, n), ~lane.eop, taken_open)
                m.d.comb += Assume(
                    ~head.valid | Cat(head.lanes[n].valid for n in lanes).any(), "lanes"
                )
                m.d.sync += self.inside[q].eq(taken_open)
        return m


class _CreditsAndOrder(_Environment):
    """What is spent is what was taken to be sent, and was there; TLPs are not mixed."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        egress = self.egress
        heads = [head for source in self.heads for head in source]
        lanes = range(egress.segment_count)

        sent = Signal(len(heads))  # taken to be sent
        expected = Signal(CreditAmountsLayout(3, 11))
        dropped = egress.cut
        for q, head in enumerate(heads):
            m.d.comb += sent[q].eq(head.take & ~dropped[q] & egress.is_up)
        for c in range(CLASS_COUNT):
            begun = [
                (_takes(heads[q], n) & heads[q].lanes[n].sop & sent[q], heads[q].lanes[n].cost)
                for q in range(c, len(heads), CLASS_COUNT)
                for n in lanes
            ]
            m.d.sync += [
                expected[c].headers.eq(sum((is_begun for is_begun, _ in begun), Const(0, 1))),
                expected[c].data.eq(sum((Mux(g, cost, 0) for g, cost in begun), Const(0, 1))),
            ]

        most = {"headers": egress.segment_count, "data": 256 * egress.segment_count}
        non_posted = Cat(q % CLASS_COUNT == TlpClass.NON_POSTED.value for q in range(len(heads)))
        within = Signal(len(heads))
        m.d.comb += within.eq(egress.served & egress.continues)
        one_sent = (sent & (sent - 1)) == 0
        with m.If(~ResetSignal()):
            for c in range(CLASS_COUNT):
                for name in ("headers", "data"):
                    spend = getattr(egress.spend[c], name)
                    m.d.comb += [
                        Assert(spend == getattr(expected[c], name), "spent is not taken"),
                        Assert(spend <= getattr(self.left[c], name), "overdrawn"),
                        Assert(spend <= most[name], "more than a row can ask for"),
                    ]
            for head in heads:
                m.d.comb += Assert(~head.take | head.valid, "takes of an empty queue")
            m.d.comb += [
                Assert(one_sent, "two rows in a cycle"),
                Assert(~(egress.is_up & within.any()) | ~(sent & ~within).any(), "TLPs are mixed"),
                # What ties the state to what was seen.
                Assert((egress.served & (egress.served - 1)) == 0, "served is not one-hot"),
                Assert(self.inside == within | egress.cut, "forgot where a TLP was left"),
                Assert((within & egress.cut) == 0, "drops what is sent"),
                Assert(~(egress.is_up & egress.is_down), "up and down"),
                Assert(
                    ~egress.is_down | ~(within & ~non_posted).any(), "a dropped row has its turn"
                ),
            ]
        return m


class _PostedGoOn(_Environment):
    """Non-posted requests and completions without credits do not hold up posted TLPs.

    Of TLPs with one lane and two rows at most, on a link that is up and takes all.
    """

    BOUND = (_SOURCES - 1) * (1 + 2) + 3

    def __init__(self):
        super().__init__(segment_count=1, quantum_rows=1)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        heads = [head for source in self.heads for head in source]
        posted = heads[TlpClass.POSTED.value :: CLASS_COUNT]
        waited = Signal(range(self.BOUND + 2))
        head = posted[0]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(self.port_up & self.ready, "link"),
                *(Assume(self.grants[c].as_value() == 0, "starved") for c in (1, 2)),
                Assume(self.grants[0].headers == 4, "rich"),
                Assume(self.grants[0].data == 1024, "rich"),
                *(Assume(other.valid & other.allowed, "busy") for other in posted),
            ]
            for q, other in enumerate(heads):
                m.d.comb += Assume(~self.inside[q] | other.lanes[0].eop, "two rows")
            with m.If(head.take):
                m.d.sync += waited.eq(0)
            with m.Else():
                m.d.sync += waited.eq(waited + 1)
            m.d.comb += [Assert(waited <= self.BOUND, "a posted TLP waits")]
        return m


class _Covers(_Environment):
    """A row is left in the middle, and later another queue has its turn."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        head = self.heads[0][0]
        split = Signal()
        with m.If(head.take & Cat(head.lanes[n].valid & ~_takes(head, n) for n in range(2)).any()):
            m.d.sync += split.eq(1)
        with m.If(~ResetSignal()):
            m.d.comb += Cover(split & self.heads[1][0].take & self.egress.is_up, "both")
        return m


PROOFS = [
    Proof(
        "pcie.Egress/spends what it takes and has, mixes no TLPs",
        lambda: _CreditsAndOrder(segment_count=2, quantum_rows=2),
        depth=1,
    ),
    Proof("pcie.Egress/posted go on", _PostedGoOn, depth=8, mode="bmc"),
    Proof(
        "pcie.Egress/rows are left in the middle",
        lambda: _Covers(segment_count=2, quantum_rows=2),
        depth=7,
        mode="cover",
    ),
]
