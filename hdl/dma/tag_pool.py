"""Tags of reads: who may have how many, and which is next."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import FreeList
from .limits import check_client_count, check_reserve, check_tag_count
from .parts import TagGivenLayout

__all__ = ["TagPool"]


class TagPool(wiring.Component):
    """Hand out the tags 0 to ``tag_count - 1``, and say which clients may have one.

    Of the tags each client can have ``reserve`` at any time, whatever the others have; the rest is
    for whoever asks first. So a client has at most ``tag_count - (client_count - 1) * reserve``,
    and a piece that was chosen while its client was ``allowed`` waits for no other client: its
    tag is free, or on its way through a free list.

    Even and odd tags are handed out in turns; twice the same only where there is no other.

    Latency from ``given`` to the same tag on ``tags`` is 5 cycles when no other is free, to
    ``allowed`` 1 cycle. Throughput is 1 tag per cycle, handed out and given back.

    Specification: this docstring.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    tag_count : int
        Tags; even, 4 to 1024.
    reserve : int
        Tags that each client can always have, 1 to ``tag_count // client_count``.

    Members
    -------
    take : In(client_count)
        One-hot, or 0: a piece of this client, which must be allowed, will take a tag.
    allowed : Out(client_count)
        Bit n set: client n may have one more tag. Registered; knows of the last cycle's ``take``.
    tags : Out(stream.Signature(range(tag_count)))
        Tag for the next piece, registered.
    given : In(TagGivenLayout(client_count, tag_count))
        Strobe: a tag is given back; it must have been handed out, to this client.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    take: Signal
    allowed: Signal
    tags: stream.Interface
    given: data.View

    def __init__(self, *, client_count: int, tag_count: int, reserve: int):
        check_client_count(client_count)
        check_tag_count(tag_count)
        check_reserve(reserve, client_count=client_count, tag_count=tag_count)
        self.client_count = client_count
        self.tag_count = tag_count
        self.reserve = reserve
        super().__init__(
            {
                "take": In(client_count),
                "allowed": Out(client_count),
                "tags": Out(stream.Signature(range(tag_count))),
                "given": In(TagGivenLayout(client_count, tag_count)),
            }
        )

        # Tags of each client, and those beyond all reserves that nobody has: for the proof.
        self._counts = [
            Signal(range(tag_count + 1), name=f"count_{n}") for n in range(client_count)
        ]
        shared = tag_count - client_count * reserve
        self._shared = Signal(range(shared + 1) if shared else 1, init=shared)

    def elaborate(self, platform):
        m = Module()
        self._count(m)
        self._hand_out(m)
        return m

    def _count(self, m: Module) -> None:
        """Keep book of who has how many."""
        shared = self._shared
        borrows = Signal(self.client_count)
        repays = Signal(self.client_count)
        has_own = Signal(self.client_count)
        for number, count in enumerate(self._counts):
            more = Signal(name=f"more_{number}")
            fewer = Signal(name=f"fewer_{number}")
            gives = Signal(name=f"gives_{number}")
            m.d.comb += [
                gives.eq(self.given.valid & (self.given.client == number)),
                more.eq(self.take[number] & ~gives),
                fewer.eq(gives & ~self.take[number]),
                borrows[number].eq(more & (count >= self.reserve)),
                repays[number].eq(fewer & (count > self.reserve)),
                has_own[number].eq(
                    Mux(
                        more,
                        count < self.reserve - 1,
                        Mux(fewer, count <= self.reserve, count < self.reserve),
                    )
                ),
            ]
            with m.If(more):
                m.d.sync += count.eq(count + 1)
            with m.If(fewer):
                m.d.sync += count.eq(count - 1)

        less = Signal()
        again = Signal()
        has_shared = Signal()
        m.d.comb += [
            less.eq(borrows.any() & ~repays.any()),
            again.eq(repays.any() & ~borrows.any()),
            has_shared.eq(Mux(less, shared > 1, again | (shared != 0))),
        ]
        with m.If(less):
            m.d.sync += shared.eq(shared - 1)
        with m.If(again):
            m.d.sync += shared.eq(shared + 1)
        allowed = Signal(self.client_count, init=(1 << self.client_count) - 1)
        m.d.sync += allowed.eq(has_own | has_shared.replicate(self.client_count))
        m.d.comb += self.allowed.eq(allowed)

    def _hand_out(self, m: Module) -> None:
        """Take tags of two lists in turns."""
        lists = []
        for number, name in enumerate(("even", "odd")):
            free = FreeList(count=self.tag_count // 2, checked=False)
            m.submodules[name] = free
            m.d.comb += [
                free.freed.valid.eq(self.given.valid & (self.given.tag[0] == number)),
                free.freed.payload.eq(self.given.tag[1:]),
            ]
            lists.append(free.allocated)
        even, odd = lists

        tag = Signal(range(self.tag_count), reset_less=True)
        odd_next = Signal()
        takes_odd = Signal()
        advances = Signal()
        m.d.comb += [
            takes_odd.eq(Mux(odd_next, odd.valid, ~even.valid)),
            advances.eq(self.tags.ready | ~self.tags.valid),
            even.ready.eq(advances & ~takes_odd),
            odd.ready.eq(advances & takes_odd),
            self.tags.payload.eq(tag),
        ]
        with m.If(advances):
            m.d.sync += [
                self.tags.valid.eq(even.valid | odd.valid),
                tag.eq(Cat(takes_odd, Mux(takes_odd, odd.payload, even.payload))),
            ]
            with m.If(even.valid | odd.valid):
                m.d.sync += odd_next.eq(~takes_odd)
