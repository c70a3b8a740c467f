"""What a turn finds: rows of all tables, compared."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .opcode import Service
from .peer_layouts import ReplyStateLayout
from .send_layouts import GatheredLayout, PositionLayout
from .send_scheduler import TIME_BITS
from .send_state import FoundLayout, SendStateLayout
from .turn_context import TurnContextLayout
from .work_check import WorkCheck
from .work_layouts import SLOT_BITS, FetchedLayout, WorkHeadLayout

__all__ = ["SendFind"]

#: Slots of a fetch.
_FETCH = 4
_FETCH_BITS = 2
#: Whoever is ahead of its time by more than any packet takes is not: time has wrapped.
_FAR_BIT = 34


class SendFind(wiring.Component):
    """Compare what tables have of a queue pair: the first half of a turn.

    All of it is combinational.

    Specification: docs/roce-requester.md.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    state, context, replies, retired, fetched, gathered, producer, head, time :
        Rows of the queue pair. ``replies``, ``fetched`` and ``gathered`` are strobes as they came.
    hint : In(config.bits("send_slots"))
        Slot that was looked up.
    now : In(40)
    o : Out(FoundLayout())
    """

    state: Any
    context: Any
    replies: Any
    retired: Any
    fetched: Any
    gathered: Any
    producer: Signal
    head: Any
    time: Signal
    hint: Signal
    now: Signal
    o: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "state": In(SendStateLayout(config)),
                "context": In(TurnContextLayout(config)),
                "replies": In(ReplyStateLayout(config)),
                "retired": In(PositionLayout(config)),
                "fetched": In(FetchedLayout(config)),
                "gathered": In(GatheredLayout(config)),
                "producer": In(SLOT_BITS),
                "head": In(WorkHeadLayout()),
                "time": In(TIME_BITS),
                "hint": In(config.bits("send_slots")),
                "now": In(TIME_BITS),
                "o": Out(FoundLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.check = check = WorkCheck(config=config)
        state, context, replies, retired = self.state, self.context, self.replies, self.retired
        cursor, begun, o = state.cursor, state.begun, self.o
        m.d.comb += [
            check.head.eq(self.head),
            check.context.eq(context),
            o.work.eq(check.o),
            o.work.is_local.eq(check.o.is_local | o.lost | o.overrun | o.short),
            o.is_rc.eq(context.service == Service.RC),
            o.guessed.eq(cursor.slot[: config.bits("send_slots")] == self.hint),
            o.is_new.eq(cursor.sequence == begun.sequence),
            o.quiet.eq(state.issued == self.gathered.count),
            o.is_empty.eq(begun.sequence == retired.sequence),
        ]

        # Of those that have begun and not ended there are `send_requests` at most: a cursor that
        # seems to be farther ahead of the oldest is behind it.
        rows = config.bits("send_requests")
        ahead = Signal(rows + 1)
        begun_ahead = Signal(rows + 1)
        reads = Signal(config.bits("resources") + 1)
        m.d.comb += [
            ahead.eq(cursor.sequence - retired.sequence),
            begun_ahead.eq(begun.sequence - retired.sequence),
            o.goes_back.eq((replies.back != state.back) | (ahead[rows] & ahead[:rows].any())),
            o.is_full.eq(begun_ahead[rows]),
            reads.eq(begun.reads - replies.reads),
            o.fence_holds.eq(reads.any() & self.head.fence),
            o.reads_full.eq(reads[-1] | (reads >= context.reads)),
        ]

        self._slots(m)

        # PSNs.
        under_way = Signal(24)
        lead = Signal(24)
        early = Signal(TIME_BITS)
        m.d.comb += [
            under_way.eq(state.psn - replies.oldest),
            o.under_way.eq(under_way),
            o.is_behind.eq(under_way[-1] & o.is_rc),
            o.done.eq(replies.oldest - cursor.psn),
            lead.eq(replies.allowed - cursor.msn),
            # Its own number is one more than there are before it.
            o.lacks_credit.eq(
                context.has_credits & check.o.takes & o.is_rc & (lead[-1] | ~lead.any())
            ),
            early.eq(self.time - self.now),
            # Without a rate its time may be long past, and look like one that comes.
            o.waits_for_time.eq(context.interval.any() & ~early[_FAR_BIT:].any() & early.any()),
        ]
        return m

    def _slots(self, m: Module) -> None:
        """Which slots are posted, here, and to be fetched."""
        config = self.config
        state, o = self.state, self.o
        cursor = state.cursor
        posted = Signal(SLOT_BITS)
        arrived = Signal(SLOT_BITS)
        ring = Signal(SLOT_BITS + 1)
        is_current = Signal()
        is_whole = Signal()
        slots = o.work.slots  # of garbage too, if nothing is on chip
        m.d.comb += [
            posted.eq(self.producer - cursor.slot),
            ring.eq(1 << self.context.ring_shift),
            o.posted.eq(posted.any()),
            o.overrun.eq(posted > ring),
            o.short.eq(posted < slots),
            is_current.eq(self.fetched.epoch == state.epoch),
            arrived.eq(self.fetched.slot - cursor.slot),
            is_whole.eq(is_current & arrived.any() & ((arrived >= slots) | (posted < slots))),
            o.lost.eq(is_current & self.fetched.failed & ~is_whole),
            o.here.eq(o.lost | is_whole),
        ]

        # As many as are posted, have room, and are left of the ring; never less than asked for.
        # There are never more on chip than have room: of how many there are the low bits count,
        # and one more, for an entry whose slots are not all posted ends behind what is asked for.
        most = config.send_slots
        needed = Signal(SLOT_BITS)
        used = Signal(range(2 * most))
        wanted = Signal(SLOT_BITS)
        left = Signal(3)
        first = Signal(SLOT_BITS)
        count = Signal(3)
        shift = self.context.ring_shift
        in_ring = Cat(shift > n for n in range(SLOT_BITS))
        in_last = (state.fetched | ~in_ring)[_FETCH_BITS:].all()
        m.d.comb += [
            first.eq(Mux(self.gathered.epoch == state.epoch, self.gathered.slot, state.floor)),
            needed.eq(Mux(o.quiet, cursor.slot, first)),
            used.eq(state.fetched - needed),
            wanted.eq(self.producer - state.fetched),
        ]
        with m.Switch(shift):
            with m.Case(0):
                m.d.comb += left.eq(1)
            with m.Case(1):
                m.d.comb += left.eq(2 - state.fetched[0])
            with m.Default():
                m.d.comb += left.eq(Mux(in_last, _FETCH - state.fetched[:_FETCH_BITS], _FETCH))
        few = Mux(wanted[_FETCH_BITS:].any(), _FETCH, wanted[: _FETCH_BITS + 1])
        m.d.comb += count.eq(Mux(few < left, few, left))
        with m.If((used + count <= most) & ~o.overrun):
            m.d.comb += o.fetch.eq(count)
