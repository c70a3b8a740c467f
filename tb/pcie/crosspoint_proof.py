"""Proofs of hdl.pcie.Crosspoint."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie.crosspoint import Crosspoint, rows_needed
from hdl.pcie.tlp import TlpClass, TlpType
from tb.prove import Proof

__all__ = ["PROOFS"]

#: Header and data credits of each class: few, so that queues are full soon.
CREDITS = ((2, 3), (2, 1), (2, 2))
_TYPES = {
    TlpClass.POSTED: (TlpType.MESSAGE_LOCAL, TlpType.MEMORY),
    TlpClass.NON_POSTED: (TlpType.MEMORY, TlpType.SWAP),
    TlpClass.COMPLETION: (TlpType.COMPLETION, TlpType.COMPLETION),
}


class _WithoutSegments(Crosspoint):
    """A crosspoint that forgets what the segments carry: nothing that is proved depends on it."""

    def _store(self, m: Module, c: TlpClass, writes: Value, leaves: Value) -> None:
        pass


class _Credited(wiring.Component):
    """A crosspoint of one lane, a sender that keeps to its credits, a receiver that is free.

    TLPs are of every class, from two requesters, with up to 12 DW and a digest, with any
    attributes and for any port; some are broadcasts. Written without the crosspoint's own counts.
    """

    valid: Signal
    mine: Signal
    flow: Signal
    dwords: Signal
    digest: Signal
    relaxed: Signal
    by_id: Signal
    other: Signal
    shared: Signal
    takes: Signal
    whole: Signal
    follow: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "valid": In(1),
                "mine": In(1),
                "flow": In(2),
                "dwords": In(4),
                "digest": In(1),
                "relaxed": In(1),
                "by_id": In(1),
                "other": In(1),
                "shared": In(1),
                "takes": In(3),
                "whole": In(3),
                "follow": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = [max(2, rows_needed(1, *each)) for each in CREDITS]
        m.submodules.crosspoint = crosspoint = _WithoutSegments(segment_count=1, row_counts=rows)
        self._send(m, crosspoint)
        pops = Signal(3)
        for number, head in enumerate(crosspoint.heads):
            m.d.comb += [
                head.take.eq(self.takes[number] & head.valid & head.allowed),
                head.whole.eq(self.whole[number]),
                pops[number].eq(head.take),
            ]
        inside = self._count(m, crosspoint, pops, rows)
        self._order(m, crosspoint, pops, inside)
        return m

    def _send(self, m: Module, crosspoint: Crosspoint) -> None:
        """Make well-formed segments of what the sender chooses."""
        segment = crosspoint.i.segments[0]
        header = segment.header
        left = Signal(4)
        total = Signal(5)
        mine_open = Signal()
        flow_open = Signal(2)
        other_open = Signal()
        self.sop = Signal()
        self.flow_now = Signal(2)
        self.mine_now = Signal()
        self.other_now = Signal()
        self.cost = Signal(3)
        m.d.comb += [
            self.sop.eq(left == 0),
            total.eq(Mux(self.sop, self.dwords + self.digest, left)),
            self.flow_now.eq(Mux(self.sop, self.flow, flow_open)),
            self.mine_now.eq(self.valid & Mux(self.sop, self.mine, mine_open)),
            self.other_now.eq(Mux(self.sop, self.other, other_open)),
            self.cost.eq((self.dwords + 3) >> 2),
            Assume(self.flow < 3, "a class"),
            Assume(self.dwords <= 12, "three data credits"),
            crosspoint.i.valid.eq(self.valid),
            crosspoint.select.eq(self.mine_now),
            segment.sop.eq(self.sop),
            segment.eop.eq(total <= 8),
            segment.empty.eq(Mux(total <= 8, 8 - total, self.dwords)),
            header.has_data.eq(self.dwords != 0),
            header.length.eq(self.dwords),
            header.td.eq(self.digest),
            header.attributes.relaxed_ordering.eq(self.relaxed),
            header.attributes.id_ordering.eq(self.by_id),
            header.requester.eq(Mux(self.other & (self.flow != 2), 1, 2)),
        ]
        with m.Switch(self.flow):
            for tlp_class, types in _TYPES.items():
                with m.Case(tlp_class.value):
                    m.d.comb += header.type.eq(Mux(self.dwords != 0, types[1], types[0]))
                    if tlp_class is TlpClass.COMPLETION:
                        m.d.comb += header.specific.completion.completer.eq(Mux(self.other, 1, 2))
                    if tlp_class is TlpClass.POSTED:
                        with m.If(self.shared & (self.dwords == 0)):
                            m.d.comb += header.type.eq(TlpType.MESSAGE_BROADCAST)
        with m.If(self.valid):
            m.d.sync += [
                left.eq(Mux(total <= 8, 0, total - 8)),
                mine_open.eq(self.mine_now),
                flow_open.eq(self.flow_now),
                other_open.eq(self.other_now),
            ]

    def _count(self, m: Module, crosspoint: Crosspoint, pops: Value, rows: list[int]) -> list:
        """Credits are spent and come back; rows are written and leave."""
        counts = []
        for number, (headers, units) in enumerate(CREDITS):
            freed = crosspoint.freed[number]
            freed_headers = freed.headers
            if number == TlpClass.POSTED.value:
                freed_headers = freed.headers + crosspoint.shared_left
            head = crosspoint.heads[number]
            spent_headers = Signal(4, name=f"spent_headers_{number}")
            spent_data = Signal(5, name=f"spent_data_{number}")
            inside = Signal(4, name=f"inside_{number}")
            written = Signal(name=f"written_{number}")
            begins = Signal(name=f"begins_{number}")
            quiet = Signal(2, name=f"quiet_{number}")
            m.d.comb += [
                written.eq(self.mine_now & (self.flow_now == number)),
                begins.eq(written & self.sop),
            ]
            m.d.sync += [
                inside.eq(inside + written - pops[number]),
                spent_headers.eq(spent_headers + begins - freed_headers),
                spent_data.eq(spent_data + Mux(begins, self.cost, 0) - freed.data),
                quiet.eq(Mux(inside == 0, Mux(quiet == 2, 2, quiet + 1), 0)),
            ]
            with m.If(~ResetSignal()):
                with m.If(begins):
                    m.d.comb += [
                        Assume(spent_headers < headers, "header credits"),
                        Assume(spent_data + self.cost <= units, "data credits"),
                    ]
                m.d.comb += [
                    Assert(inside <= rows[number], "a queue overflows"),
                    Assert(~head.valid | (inside != 0), "a row comes twice"),
                    Assert(freed_headers <= spent_headers, "header credits from nothing"),
                    Assert(freed.data <= spent_data, "data credits from nothing"),
                ]
                with m.If((quiet == 2) & (inside == 0) & self.sop):
                    m.d.comb += Assert((spent_headers == 0) & (spent_data == 0), "lost credits")
                if self.cover:
                    m.d.comb += Cover(inside == rows[number], f"queue {number} is full")
                if number == TlpClass.POSTED.value:
                    self._share(m, crosspoint, begins & self.shared & (self.dwords == 0))
                    posted = crosspoint.posted
                    recent = Signal()
                    m.d.sync += recent.eq(written)
                    m.d.comb += Assert(
                        posted.inside - posted.leaves + recent == inside, "posted rows"
                    )
            counts.append((inside, written))
        return counts

    def _share(self, m: Module, crosspoint: Crosspoint, begins: Value) -> None:
        """Broadcasts, and nothing else, are told of as such."""
        shared = Signal(4)
        m.d.sync += shared.eq(shared + begins - crosspoint.shared_left)
        m.d.comb += Assert(crosspoint.shared_left <= shared, "a broadcast from nothing")
        if self.cover:
            m.d.comb += Cover(crosspoint.shared_left != 0, "a broadcast leaves")

    def _order(self, m: Module, crosspoint: Crosspoint, pops: Value, inside: list) -> None:
        """Follow a TLP that waits for posted ones."""
        posted, posted_written = inside[0]
        # Requesters of the posted rows inside, the oldest first, and how many must leave.
        requesters = Signal(rows_needed(1, *CREDITS[0]))
        blockers = Signal(4)
        m.d.comb += blockers.eq(Mux(self.by_id, 0, posted))
        with m.If(self.by_id):
            for n in range(len(requesters)):
                with m.If((n < posted) & (requesters[n] == self.other_now)):
                    m.d.comb += blockers.eq(n + 1)
        after_pop = Signal(4)
        m.d.comb += after_pop.eq(posted - pops[0])
        with m.If(posted_written):
            shifted = requesters >> pops[0]
            m.d.sync += requesters.eq(
                (shifted & ~(C(1, 4) << after_pop)) | (self.other_now << after_pop)
            )
        with m.Else():
            m.d.sync += requesters.eq(requesters >> pops[0])

        for number in (1, 2):
            head = crosspoint.heads[number]
            rows, written = inside[number]
            following = Signal(name=f"following_{number}")
            ahead = Signal(4, name=f"ahead_{number}")
            waits = Signal(4, name=f"waits_{number}")
            by_id = Signal(name=f"by_id_{number}")
            age = Signal(2, name=f"age_{number}")
            may_pass = self.relaxed & (C(number == 2) | (self.dwords != 0))
            with m.If(following):
                m.d.sync += [
                    ahead.eq(Mux(ahead == 0, 0, ahead - pops[number])),
                    waits.eq(Mux(waits == 0, 0, waits - pops[0])),
                    age.eq(Mux(waits == 0, Mux(age == 3, 3, age + 1), 0)),
                    following.eq(~((ahead == 0) & pops[number])),
                ]
            with m.Elif(written & self.sop & self.follow & ~may_pass):
                m.d.sync += [
                    following.eq(1),
                    ahead.eq(rows - pops[number]),
                    waits.eq(Mux(blockers == 0, 0, blockers - pops[0])),
                    by_id.eq(self.by_id),
                    age.eq(0),
                ]
            is_head = following & (ahead == 0)
            offered = head.valid & head.allowed
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Assert(~(is_head & offered & (waits != 0)), "passes a posted TLP"),
                    Assert(~(is_head & (age >= 2) & ~by_id) | offered, "waits for nothing"),
                ]
                if self.cover:
                    m.d.comb += Cover(is_head & offered & by_id & (posted != 0), "IDO passes")
        with m.If(~ResetSignal()):
            m.d.comb += Assert(crosspoint.heads[0].allowed, "a posted TLP waits")


PROOFS = [
    Proof(
        "pcie.Crosspoint/order, no overflow, credits come back",
        _Credited,
        depth=6,
        mode="bmc",
    ),
    Proof(
        "pcie.Crosspoint/fills up, and ID-based Ordering passes",
        lambda: _Credited(cover=True),
        depth=8,
        mode="cover",
    ),
]
