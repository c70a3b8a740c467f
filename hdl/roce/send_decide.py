"""What is done in a turn."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .context import QueuePairState
from .peer_layouts import ReplyStateLayout
from .send_layouts import PositionLayout
from .send_scheduler import TurnKind
from .send_state import FoundLayout, SendStateLayout
from .turn_context import TurnContextLayout
from .work_layouts import WorkHeadLayout

__all__ = ["SendDecide", "StepLayout"]

#: PSNs that may be under way: more could not be told from those behind.
_MOST_PSNS_BIT = 23


class StepLayout(data.StructLayout):
    """A turn's step.

    Fields
    ------
    kind : TurnKind
    sends : 1 bit
        The packet at the cursor leaves.
    is_local : 1 bit
        What leaves is no packet: a local operation, or none at all.
    begins : 1 bit
        The entry at the cursor begins: it becomes one of those that have not ended.
    last : 1 bit
        The packet is the final one of its entry.
    fetches : 1 bit
        What ``found`` has is fetched.
    asks : 1 bit
        Whoever waits for it asks for an acknowledgement.
    after : PositionLayout(config)
        Behind the entry at the cursor.
    state : SendStateLayout(config)
        From now on.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": TurnKind,
                "sends": 1,
                "is_local": 1,
                "begins": 1,
                "last": 1,
                "asks": 1,
                "fetches": 1,
                "after": PositionLayout(config),
                "state": SendStateLayout(config),
            }
        )


class SendDecide(wiring.Component):
    """Decide: the second half of a turn, and the one place that says what is sent, and when.

    All of it is combinational. But with narrow beats the members are held for 2 cycles, and ``o``
    is right in the second one: which case it is, and sums, are in registers.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7.3 (PSNs),
    9.7.7.2 (credits), 10.8.3.3 (fence).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    is_set_up : In(1)
        The turn sets the queue pair up, as ``context`` says.
    is_held : In(1)
        A set-up of this queue pair is on its way.
    state, context, head, replies, retired :
        Rows of the queue pair.
    found : In(FoundLayout())
    o : Out(StepLayout(config))
    """

    is_set_up: Signal
    is_held: Signal
    state: Any
    context: Any
    head: Any
    replies: Any
    retired: Any
    found: Any
    o: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "is_set_up": In(1),
                "is_held": In(1),
                "state": In(SendStateLayout(config)),
                "context": In(TurnContextLayout(config)),
                "head": In(WorkHeadLayout()),
                "replies": In(ReplyStateLayout(config)),
                "retired": In(PositionLayout(config)),
                "found": In(FoundLayout()),
                "o": Out(StepLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        state, found, o = self.state, self.found, self.o
        work, cursor = found.work, state.cursor
        is_error = state.state == QueuePairState.ERROR
        is_ready = state.state == QueuePairState.READY

        # Behind the entry. What is flushed, or local, takes no PSN.
        takes_psns = ~work.is_local & ~is_error
        after: Any = Signal(PositionLayout(self.config))
        m.d.comb += [
            after.sequence.eq(cursor.sequence + 1),
            after.slot.eq(cursor.slot + Mux(found.lost, 1, work.slots)),
            after.psn.eq(Mux(takes_psns, cursor.psn + work.last_number + 1, cursor.psn)),
            after.reads.eq(cursor.reads + (takes_psns & work.has_response)),
            after.msn.eq(cursor.msn + takes_psns),
            o.after.eq(self._settled(m, after)),
        ]

        # Who may not begin, or not go on, yet.
        holds = Signal()  # before the entry begins
        waits = Signal()  # before its next packet
        end_distance = Signal(25)
        is_limited = found.lacks_credit
        # Without credit a message may have its first packet, then one for each acknowledged.
        is_alone = (found.under_way >= state.number) & (state.number.any() | found.under_way.any())
        m.d.comb += [
            end_distance.eq(found.under_way + work.last_number),
            holds.eq(
                Mux(
                    work.is_local | state.is_local,
                    ~found.is_empty,
                    found.fence_holds
                    | (work.has_response & found.reads_full)
                    | end_distance[_MOST_PSNS_BIT:].any(),
                )
                | found.is_full
            ),
            waits.eq(
                found.is_rc & ((found.under_way >= self.context.window) | (is_limited & is_alone))
            ),
            o.asks.eq(self._settled(m, is_limited | (found.under_way + 1 == self.context.window))),
            o.last.eq(self._settled(m, work.has_response | (state.number == work.last_number))),
        ]
        is_passed = self._settled(m, found.done > work.last_number)
        is_highest = self._settled(m, state.psn == state.highest)
        is_quiet = self._settled(m, found.quiet)

        # The first of these that holds is the case, and none of them that it sends.
        conditions = {
            "set_up": self.is_set_up,
            "held": self.is_held | ~(is_ready | is_error),
            "unguessed": ~found.guessed,
            "back": is_ready & (self.replies.failed | found.goes_back),
            "idle": (is_ready & self.replies.waits) | ~found.posted,
            "away": ~found.here & ~found.overrun,
            "error": is_error,
            "new": found.is_new & holds,
            "lost": work.is_local & ~found.is_new & ~state.is_local,
            "local": work.is_local,
            "behind": found.is_behind & ~found.is_new,
            "waits": waits,
            "early": found.waits_for_time,
        }
        cases = Signal(len(conditions))
        none_before: Value = C(1)
        for number, condition in enumerate(conditions.values()):
            m.d.comb += cases[number].eq(none_before & condition)
            none_before = none_before & ~condition
        settled = self._settled(m, cases)
        case = {name: settled[number] for number, name in enumerate(conditions)}

        new: Any = Signal(SendStateLayout(self.config))
        m.d.comb += [new.eq(state), o.state.eq(new), o.kind.eq(TurnKind.BLOCKED)]

        with m.If(case["set_up"]):
            self._set_up(m, new)
        with m.Elif(case["held"] | case["idle"]):
            pass
        with m.Elif(case["unguessed"]):
            m.d.comb += o.kind.eq(TurnKind.SKIPPED)
        with m.Elif(case["back"]):
            # What is on chip goes; so nobody may be at it.
            m.d.comb += o.kind.eq(TurnKind.SKIPPED)
            with m.If(is_quiet):
                self._go_back(m, new)
        with m.Elif(case["away"] | case["new"] | case["waits"]):
            m.d.comb += o.fetches.eq(1)
        with m.Elif(case["error"]):
            m.d.comb += o.fetches.eq(1)
            with m.If(~found.is_full & ~found.overrun):
                m.d.comb += [o.begins.eq(1), o.is_local.eq(1), o.kind.eq(TurnKind.SKIPPED)]
                self._begin(m, new, local=1)
        with m.Elif(case["lost"]):
            # It was a message when it began. Memory refuses its slots now, or has others there:
            # it cannot be sent again, so the queue pair ends. If it were passed, others would get
            # its PSNs, and their acknowledgements would end it.
            m.d.comb += [
                o.is_local.eq(1),
                o.sends.eq(1),
                new.issued.eq(state.issued + 1),
            ]
        with m.Elif(case["local"]):
            # If it has begun, it was given to the gatherer already.
            m.d.comb += [
                o.fetches.eq(1),
                o.kind.eq(TurnKind.SKIPPED),
                o.begins.eq(found.is_new),
                o.is_local.eq(1),
                o.sends.eq(found.is_new),
                new.issued.eq(state.issued + found.is_new),
                new.cursor.eq(o.after),
                new.number.eq(0),
                new.psn.eq(o.after.psn),
            ]
            with m.If(found.is_new):
                self._begin(m, new, local=1)
        with m.Elif(case["behind"]):
            m.d.comb += [o.kind.eq(TurnKind.SKIPPED), new.psn.eq(self.replies.oldest)]
            with m.If(is_passed):
                m.d.comb += [new.cursor.eq(o.after), new.number.eq(0), new.psn.eq(o.after.psn)]
            with m.Else():
                m.d.comb += new.number.eq(found.done)
        with m.Elif(case["early"]):
            m.d.comb += [o.fetches.eq(1), o.kind.eq(TurnKind.WAITS)]
        with m.Else():
            m.d.comb += [
                o.fetches.eq(1),
                o.kind.eq(TurnKind.SENT),
                o.sends.eq(1),
                o.begins.eq(found.is_new),
                new.issued.eq(state.issued + 1),
                new.psn.eq(Mux(work.has_response, o.after.psn, state.psn + 1)),
                new.number.eq(state.number + 1),
            ]
            with m.If(found.is_new):
                self._begin(m, new, local=0)
            with m.If(o.last):
                m.d.comb += [new.cursor.eq(o.after), new.number.eq(0)]
            with m.Else():
                m.d.comb += new.cursor.eq(cursor)
            with m.If(is_highest):
                m.d.comb += new.highest.eq(new.psn)
        with m.If(o.fetches):
            m.d.comb += new.fetched.eq(state.fetched + found.fetch)
        return m

    def _settled(self, m: Module, value: Any) -> Any:
        """``value``; with narrow beats as it was in the cycle before."""
        if not self.config.is_narrow:
            return value
        settled = Signal(value.shape(), reset_less=True)
        m.d.sync += settled.eq(value)
        return settled

    def _begin(self, m: Module, new: Any, *, local: int) -> None:
        m.d.comb += [
            new.begun.eq(self.o.after),
            new.cursor.eq(self.o.after),
            new.is_local.eq(local),
        ]

    def _set_up(self, m: Module, new: Any) -> None:
        """Begin anew; of what was before, only what tells it from what comes."""
        context = self.context
        zero: Any = Signal(PositionLayout(self.config))
        m.d.comb += [
            zero.psn.eq(context.psn),
            self.o.sends.eq(1),
            new.eq(0),
            new.state.eq(context.state),
            new.cursor.eq(zero),
            new.begun.eq(zero),
            new.psn.eq(context.psn),
            new.highest.eq(context.psn),
            new.epoch.eq(self.state.epoch + 1),
            new.issued.eq(self.state.issued + 1),
        ]

    def _go_back(self, m: Module, new: Any) -> None:
        """Go on from the oldest entry that has not ended; or, in error, behind what has begun."""
        state = self.state
        start: Any = Signal(PositionLayout(self.config))
        m.d.comb += [
            start.eq(Mux(self.replies.failed, state.begun, self.retired)),
            new.cursor.eq(start),
            new.number.eq(0),
            new.psn.eq(start.psn),
            new.fetched.eq(start.slot),
            new.floor.eq(start.slot),
            new.epoch.eq(state.epoch + 1),
            new.back.eq(self.replies.back),
        ]
        with m.If(self.replies.failed):
            m.d.comb += new.state.eq(QueuePairState.ERROR)
