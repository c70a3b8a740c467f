"""Proof of hdl.roce.ReceiveQueues: as if each request were posted and taken in one cycle."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.roce.receive_queues import LimitLayout, PostLayout, ReceiveQueues, TakeLayout
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]

_CONFIG = least()
_DEPTH = _CONFIG.receive_depth
_COUNT_BITS = _CONFIG.bits("receive_depth") + 1
_REQUEST_BITS = _CONFIG.bits("receive_requests") + 32


class _Watched(ReceiveQueues):
    """The queues, with a look at one of them, and at one slot of its ring.

    The memories are taken to be some: they give what was last written, unless that is in the cycle
    of the read.
    """

    def __init__(self):
        super().__init__(config=_CONFIG)
        self.watched = Signal(_CONFIG.bits("receive_queues"))
        self.slot = Signal(range(_DEPTH))
        self.head = Signal(_COUNT_BITS)
        self.tail = Signal(_COUNT_BITS)
        self.limit = Signal(16)
        self.request = Signal(_REQUEST_BITS)
        self.accepts = Signal()

    def elaborate(self, platform):
        m: Any = super().elaborate(platform)
        rams = m.submodules
        row = self.watched
        for ram, kept, address in (
            (rams.heads, self.head, row),
            (rams.tails, self.tail, row),
            (rams.limits, self.limit, row),
            (rams.ring, self.request, Cat(self.slot, row)),
        ):
            writes = ram.write_lanes.any() & (ram.write_address == address)
            reads = ram.read_en & (ram.read_address == address) & ~writes
            has_read = Signal()
            read = Signal.like(kept)
            m.d.sync += [has_read.eq(reads), read.eq(kept)]
            with m.If(writes):
                m.d.sync += kept.eq(Value.cast(ram.write_data))
            m.d.comb += Assume(
                ResetSignal() | ~has_read | (Value.cast(ram.read_data) == read), "a memory"
            )
        m.d.comb += self.accepts.eq(rams.tails.write_lanes.any() & ~self.clear.valid)
        return m


class _OneAfterAnother(wiring.Component):
    """One queue, any, beside a list that is posted to and taken from in one cycle each."""

    watched: Signal
    slot: Signal
    phase: Signal
    take: Any
    clear: Any
    post_valid: Signal
    post: Any
    limit_valid: Signal
    limit: Any

    def __init__(self):
        queue_bits = _CONFIG.bits("receive_queues")
        super().__init__(
            {
                "watched": In(queue_bits),
                "slot": In(range(_DEPTH)),
                "phase": In(1),
                "take": In(TakeLayout(_CONFIG)),
                "clear": In(data.StructLayout({"valid": 1, "queue": queue_bits})),
                "post_valid": In(1),
                "post": In(PostLayout(_CONFIG)),
                "limit_valid": In(1),
                "limit": In(LimitLayout(_CONFIG)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queues = queues = _Watched()
        m.d.comb += [
            queues.watched.eq(self.watched),
            queues.slot.eq(self.slot),
            queues.phase.eq(self.phase),
            queues.take.eq(self.take),
            queues.clear.eq(self.clear),
            queues.posts.valid.eq(self.post_valid),
            queues.posts.payload.eq(self.post),
            queues.limits.valid.eq(self.limit_valid),
            queues.limits.payload.eq(self.limit),
        ]
        cleared = self._assume(m, queues)

        # The list. Taken from in the cycle of ``take``, posted to and limited when accepted.
        head = Signal(_COUNT_BITS)
        tail = Signal(_COUNT_BITS)
        limit = Signal(16)
        request = Signal(_REQUEST_BITS)
        posts = Signal()
        limits = Signal()
        comes = Signal()
        m.d.comb += [
            posts.eq(queues.accepts & (self.post.queue == self.watched)),
            limits.eq(self.limit_valid & queues.limits.ready & (self.limit.queue == self.watched)),
            comes.eq(self.take.valid & self.phase & (self.take.queue == self.watched)),
        ]
        found: Any = Signal(
            data.StructLayout({"taken": 1, "left": _COUNT_BITS, "limit": 1, "is_slot": 1})
        )
        m.d.comb += [
            found.taken.eq(comes & self.take.take & (head != tail)),
            found.left.eq(tail - head - found.taken),
            found.limit.eq(found.taken & self.take.tells & (found.left < limit)),
            found.is_slot.eq(found.taken & (head[:-1] == self.slot)),
        ]
        m.d.sync += head.eq(head + found.taken)
        with m.If(found.limit):
            m.d.sync += limit.eq(0)
        with m.If(posts):
            m.d.sync += tail.eq(tail + 1)
            with m.If(tail[:-1] == self.slot):
                m.d.sync += request.eq(Cat(self.post.handle, self.post.length))
        with m.If(limits):
            m.d.sync += limit.eq(self.limit.limit)
        with m.If(self.clear.valid):
            m.d.sync += [head.eq(0), tail.eq(0), limit.eq(0)]

        # What was found, by cycles since; and what was in the slot then.
        ages = range(1, queues.latency + 1)
        mine = [comes, *(Signal(name=f"mine_{n}") for n in ages)]
        finds = [found, *(Signal(found.shape(), name=f"found_{n}") for n in ages)]
        requests = [request, *(Signal(_REQUEST_BITS, name=f"request_{n}") for n in ages)]
        for n in ages:
            m.d.sync += [
                mine[n].eq(mine[n - 1]),
                Value.cast(finds[n]).eq(Value.cast(finds[n - 1])),
                requests[n].eq(requests[n - 1]),
            ]
        was_full = Signal(4)  # 1 to 4 cycles ago
        is_full = (tail - head)[:_COUNT_BITS] == _DEPTH
        m.d.sync += was_full.eq(Cat(is_full, was_full))
        refused = Signal()
        m.d.sync += refused.eq(
            queues.posts.ready & ~queues.accepts & (self.post.queue == self.watched)
        )

        taken: Any = queues.taken
        result = finds[-1]
        taken_now = (mine[1] & finds[1].taken) | (mine[2] & finds[2].taken)
        limit_now = Cat(finds[n].limit for n in (1, 2, 3)).any()
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~mine[-1] | (taken.taken == result.taken), "the oldest, if there is one"),
                Assert(~mine[-1] | (taken.left == result.left), "so many are left"),
                Assert(~mine[-1] | (taken.limit == result.limit), "the limit is told, once"),
                Assert(
                    ~(mine[-1] & result.is_slot)
                    | (Cat(taken.handle, taken.length) == requests[-1]),
                    "what was posted",
                ),
                Assert(~posts | ~is_full, "no room for this one"),
                Assert(~refused | was_full.any(), "refused without need"),
                Assert(~refused | queues.refused, "refused, and not told"),
                # What the memories hold; the proof leans on it.
                Assert(~cleared | (queues.tail == tail), "tail"),
                Assert(~cleared | ((queues.head + taken_now)[:_COUNT_BITS] == head), "head"),
                Assert(~cleared | limit_now | (queues.limit == limit), "limit"),
                Assert(queues.request == request, "ring"),
                Assert((tail - head)[:_COUNT_BITS] <= _DEPTH, "more than there is room for"),
                Cover(mine[5] & mine[3] & mine[1] & finds[5].taken & finds[3].taken, "one by one"),
                Cover(mine[5] & finds[5].limit & finds[3].taken, "a limit is told"),
                Cover(refused, "one is refused"),
            ]
        return m

    def _assume(self, m: Module, queues: ReceiveQueues) -> Signal:
        """Take what others promise; return whether the queue is cleared."""
        started = Signal()
        past = Signal()
        m.d.sync += past.eq(1)
        for value in (self.watched, self.slot):
            before = Signal.like(value)
            m.d.sync += before.eq(value)
            m.d.comb += Assume(~past | (value == before), "one queue for all time")
        phase = Signal()
        m.d.sync += phase.eq(self.phase)
        m.d.comb += Assume(~past | (self.phase != phase), "turns")
        clears = self.clear.valid & (self.clear.queue == self.watched)
        cleared = Signal()
        with m.If(clears):
            m.d.sync += cleared.eq(1)
        with m.If(~self.clear.valid):
            m.d.sync += started.eq(1)
        m.d.comb += [
            Assume(ResetSignal() | self.clear.valid | cleared, "cleared first"),
            Assume(~started | ~self.clear.valid, "and then no more"),
            Assume(~(self.clear.valid & self.take.valid), "nothing else meanwhile"),
        ]
        for valid, ready, payload in (
            (self.post_valid, queues.posts.ready, self.post),
            (self.limit_valid, queues.limits.ready, self.limit),
        ):
            waits = Signal()
            waiting = Signal(len(Value.cast(payload)))
            m.d.sync += [waits.eq(valid & ~ready), waiting.eq(Value.cast(payload))]
            m.d.comb += Assume(
                ~waits | (valid & (Value.cast(payload) == waiting)), "streams wait unchanged"
            )
        return cleared


PROOFS = [
    Proof("roce.ReceiveQueues/as if one after another", _OneAfterAnother, 12),
    Proof("roce.ReceiveQueues/as close as they may be", _OneAfterAnother, 24, mode="cover"),
]
