"""Proofs of hdl.bits.PriorityPicker and RoundRobinPicker."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.bits import PriorityPicker, RoundRobinPicker
from tb.prove import Proof

__all__ = ["PROOFS"]


def _assert_grant(m: Module, picker: PriorityPicker | RoundRobinPicker) -> None:
    """At most one grant, only to who requests, and one whenever anybody does."""
    m.d.comb += [
        Assert((picker.grant & (picker.grant - 1)[: picker.request_count]) == 0, "two grants"),
        Assert((picker.grant & ~picker.requests) == 0, "granted without request"),
        Assert(picker.granted == picker.requests.any(), "granted is wrong"),
        Assert(picker.grant.any() == picker.requests.any(), "request without grant"),
        Assert(picker.grant == Mux(picker.granted, 1 << picker.index, 0), "index is wrong"),
    ]


class _Priority(wiring.Component):
    """The grant is one-hot and nobody lower requests."""

    requests: Signal

    def __init__(self, request_count: int):
        self.request_count = request_count
        super().__init__({"requests": In(request_count)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.picker = picker = PriorityPicker(request_count=self.request_count)
        m.d.comb += picker.requests.eq(self.requests)
        _assert_grant(m, picker)
        m.d.comb += Assert(
            ((picker.grant - 1)[: self.request_count] & picker.requests) == 0, "not the lowest"
        )
        return m


class _RoundRobin(wiring.Component):
    """The grant is one-hot and no request waits for more than all others once.

    ``watched`` is any request; ``passed_over`` counts the grants that others took while it
    waited. Each of them brings the turn nearer: what is left to count is what is left to go.
    """

    requests: Signal
    take: Signal
    watched: Signal

    def __init__(self, request_count: int, *, longest_wait: int | None = None):
        self.request_count = request_count
        self.longest_wait = longest_wait
        super().__init__(
            {"requests": In(request_count), "take": In(1), "watched": In(range(request_count))}
        )

    def elaborate(self, platform):
        m = Module()
        count = self.request_count
        m.submodules.picker = picker = RoundRobinPicker(request_count=count)
        m.d.comb += [picker.requests.eq(self.requests), picker.take.eq(self.take)]

        watched = Signal.like(self.watched)
        started = Signal()
        passed_over = Signal(range(count + 1))
        requests_watched = Signal()
        m.d.sync += [started.eq(1), watched.eq(self.watched)]
        m.d.comb += requests_watched.eq(self.requests.bit_select(self.watched, 1))
        with m.If(~requests_watched | (picker.take & (picker.index == self.watched))):
            m.d.sync += passed_over.eq(0)
        with m.Elif(picker.take):
            m.d.sync += passed_over.eq(passed_over + 1)

        turn = Signal(range(count + 1))
        to_go = Signal(range(count + 1))
        following_count = sum(picker.following)
        m.d.comb += [
            turn.eq(Mux(picker.following.any(), count - following_count, 0)),
            to_go.eq(Mux(self.watched >= turn, self.watched - turn, self.watched + count - turn)),
        ]

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(self.watched < count, "watched is a request"),
                Assume(~started | (self.watched == watched), "watched stays"),
            ]
            if self.longest_wait is not None:
                m.d.comb += Cover(passed_over == self.longest_wait, "longest wait")
            else:
                _assert_grant(m, picker)
                m.d.comb += [
                    Assert(
                        ((picker.following << 1)[:count] & ~picker.following) == 0,
                        "following has a gap",
                    ),
                    Assert(passed_over + to_go < count, "passed over too often"),
                    Assert(passed_over < count, "passed over too often"),
                ]
        return m


PROOFS = [
    Proof("bits.PriorityPicker/one-hot, the lowest", lambda: _Priority(13), depth=2),
    Proof("bits.RoundRobinPicker/one-hot, bounded waiting", lambda: _RoundRobin(5), depth=2),
    Proof(
        "bits.RoundRobinPicker/the longest wait happens",
        lambda: _RoundRobin(5, longest_wait=4),
        depth=7,
        mode="cover",
    ),
]
