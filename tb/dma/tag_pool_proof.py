"""Proofs of hdl.dma.TagPool."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.dma import TagPool
from hdl.dma.parts import TagGivenLayout
from tb.prove import Proof
from tb.stream.rules import assert_stream

__all__ = ["PROOFS"]


class _Quotas(wiring.Component):
    """Clients that take when they may, and give back no more than they took: any tag."""

    take: Signal
    given: data.View

    def __init__(self, client_count: int, tag_count: int, reserve: int):
        self.client_count = client_count
        self.tag_count = tag_count
        self.reserve = reserve
        super().__init__(
            {"take": In(client_count), "given": In(TagGivenLayout(client_count, tag_count))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pool = pool = TagPool(
            client_count=self.client_count, tag_count=self.tag_count, reserve=self.reserve
        )
        m.d.comb += [pool.take.eq(self.take), pool.given.eq(self.given)]

        most = self.tag_count - (self.client_count - 1) * self.reserve
        beyond = C(0)
        total = C(0)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume((self.take & ~pool.allowed) == 0, "takes only what is allowed"),
                Assume((self.take & (self.take - 1)) == 0, "one at a time"),
            ]
            for number in range(self.client_count):
                has = Signal(range(2 * self.tag_count), name=f"has_{number}")
                gives = Signal(name=f"gives_{number}")
                m.d.comb += gives.eq(self.given.valid & (self.given.client == number))
                m.d.sync += has.eq(has + self.take[number] - gives)
                can_have = (has < self.reserve) | (pool._shared != 0)
                m.d.comb += [
                    Assume(~gives | (has != 0), "gives only what it has"),
                    Assert(has <= most, "more than its quota"),
                    Assert(has == pool._counts[number], "the pool's book"),
                    Assert(pool.allowed[number] == can_have, "allowed is exact"),
                    Assert(pool.allowed[number] | (has >= self.reserve), "keeps its reserve"),
                ]
                beyond = beyond + Mux(has > self.reserve, has - self.reserve, 0)
                total = total + has
            m.d.comb += [
                Assume(self.given.client < self.client_count, "no such client"),
                Assert(
                    pool._shared + beyond == self.tag_count - self.client_count * self.reserve,
                    "what nobody has",
                ),
                Assert(total <= self.tag_count, "more than there are"),
                Cover(total == self.tag_count, "all are taken"),
            ]
        return m


class _Holders(wiring.Component):
    """Clients that also keep book of the tags, and give back only those that they hold."""

    take: Signal
    takes_tag: Signal
    given: data.View

    def __init__(self):
        super().__init__({"take": In(2), "takes_tag": In(1), "given": In(TagGivenLayout(2, 4))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pool = pool = TagPool(client_count=2, tag_count=4, reserve=1)
        m.d.comb += [
            pool.take.eq(self.take),
            pool.given.eq(self.given),
            pool.tags.ready.eq(self.takes_tag),
        ]
        held = Signal(4)
        waits = Signal(range(5))
        has = [Signal(range(5), name=f"has_{n}") for n in range(2)]
        moves = Signal()
        m.d.comb += moves.eq(pool.tags.valid & self.takes_tag)
        m.d.sync += [
            held.eq((held | (moves << pool.tags.payload)) & ~(self.given.valid << self.given.tag)),
            waits.eq(waits + self.take.any() - moves),
            *(
                has[n].eq(has[n] + self.take[n] - (self.given.valid & (self.given.client == n)))
                for n in range(2)
            ),
        ]
        since_moved = Signal(range(12))
        with m.If(moves | (waits == 0) | ~self.takes_tag):
            m.d.sync += since_moved.eq(0)
        with m.Else():
            m.d.sync += since_moved.eq(since_moved + 1)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume((self.take & ~pool.allowed) == 0, "takes only what is allowed"),
                Assume(self.take != 0b11, "one at a time"),
                Assume(~moves | (waits != 0), "a tag is for a piece"),
                Assume(~self.given.valid | (held >> self.given.tag)[0], "gives what is held"),
                Assume(
                    ~self.given.valid | (Mux(self.given.client, has[1], has[0]) != 0),
                    "gives only what it has",
                ),
                Assert(~pool.tags.valid | ~(held >> pool.tags.payload)[0], "handed out twice"),
                Assert(since_moved < 7, "a piece waits though there is a tag"),
                Cover(held.all(), "all are out"),
            ]
        assert_stream(m, "tags", pool.tags)
        return m


PROOFS = [
    Proof(
        "dma.TagPool/no client exceeds its quota or is denied its reserve",
        lambda: _Quotas(3, 6, 1),
        depth=2,
    ),
    Proof("dma.TagPool/all tags can be taken", lambda: _Quotas(3, 6, 1), depth=10, mode="cover"),
    Proof("dma.TagPool/no tag is handed out twice or withheld", _Holders, depth=12, mode="bmc"),
    Proof("dma.TagPool/all tags can be out", _Holders, depth=10, mode="cover"),
]
