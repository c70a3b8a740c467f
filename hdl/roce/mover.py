"""Payloads on their way to memory."""

from typing import Any

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import PacketSignature, Queue, SkidBuffer
from ..stream.packet_cut import PacketCut, PieceLayout
from .ask_place import PAGE_BITS, AskPlace
from .config import RoceConfig
from .layouts import (
    ActionLayout,
    CompletionStatus,
    EventKind,
    FailureLayout,
    SpanLayout,
    StrobeLayout,
    WriteOrderKind,
    WriteOrderLayout,
)
from .one_row import OneRow
from .scatter import ScatterPieceLayout, ScatterRowLayout, ScatterWalk
from .translate_signature import TranslateSignature
from .turns import later

__all__ = ["Mover"]

#: Queue pairs whose failure the protocol has not heard of yet; a few, for it takes one each cycle.
_FAILURES = 4
#: Pieces of lists that wait: a list is walked while the actions before are at work.
_PIECES = 4
#: AETH syndromes (IBTA 9.7.5): NAK of remote access and of remote operational error.
_REMOTE_ACCESS = 0x62
_REMOTE_OPERATION = 0x63


class Outcome(enum.IntEnum, shape=2):
    """How an action ends."""

    GOOD = 0
    #: Its queue pair failed before.
    FLUSHED = 1
    #: Its place is no more.
    REFUSED = 2
    #: Its receive request's list is shorter than it was said to be.
    SHORT = 3


class Mover(wiring.Component):
    """Say for each packet where in memory its bytes go, and cut them out.

    Each action becomes orders, the last of which is marked and carries the action's event: one
    for each run of bytes that goes to one place, with a packet of ``data``, and one for the
    completion. There is always a last one, if need be of kind NOTHING.

    A WRITE whose place is no more, an invalidation of a key that is no more, and a SCATTER whose
    list ends too early make the queue pair dead, and so does ``failed``. Of such an action nothing
    is written, or of the SCATTER what fits; its completion gets the status REMOTE_ACCESS, or
    LOCAL_LENGTH, its event becomes a FATAL_NAK of syndrome 0x62, or 0x63, if it was not
    NOTHING, and ``failures`` tells. From then on, until an action with ``revive``, the queue pair's
    actions write nothing and their events are NOTHING, without ``notify``; their
    completions get the status FLUSHED. What becomes dead by ``failed`` does so for the
    actions that are not at work yet.

    An action invalidates or is a WRITE, not both. Tables are not reset, in an FPGA nothing is dead
    at first: queue pairs are set up with ``revive``.

    Throughput is an action every 2 cycles, unless it is one of these: a WRITE with a completion
    or over two pages takes 3, with both 4; a SCATTER takes 2 cycles, one for each entry that it
    reaches and one for a completion, but at least what its walk takes, which goes on beside the
    actions before it (see :class:`ScatterWalk`); an invalidation waits for all actions before it,
    and takes 13 alone. Data flow at a beat per cycle; see
    :class:`PacketCut`. Latency from an action to its first order is 9 cycles for a WRITE if the
    translator is free, 10 for a SCATTER, and 5 for an action that writes nothing.

    Whatever waits here waits until ``orders``, ``data`` or ``failures`` are taken, for a
    translation (bounded by the translator), or for beats of a packet whose action is here: no
    action waits for a later one.

    Specification: this docstring; IBTA 9.7.5 (NAKs), Annex A17 (IP headers of datagrams).

    Parameters
    ----------
    config : RoceConfig
        Sizes.

    Members
    -------
    actions : In(stream.Signature(ActionLayout(config)))
        What to do. ``actions.ready`` depends combinationally on ``actions.payload`` and
        ``translate.request.ready``.
    packets : In(PacketSignature(config.data_bytes))
        One for each action with ``has_packet``. ``packets.ready`` depends combinationally
        on ``data.ready``.
    orders : Out(stream.Signature(WriteOrderLayout(config)))
        Registered.
    data : Out(PacketSignature(config.data_bytes))
        One packet for each order of kind DATA, in order. Registered.
    translate : Out(TranslateSignature(config))
        Places of WRITEs, and keys to invalidate. The request is a function of ``actions``.
    scatter_rows : In(stream.Signature(ScatterRowLayout(config)))
        Entries of scatter lists to be written; never refused.
    failures : Out(stream.Signature(FailureLayout(config)))
        Queue pairs that have failed here. Actions wait while 4 are not taken.
    failed : In(StrobeLayout(config))
        Strobe: a memory write of this queue pair has failed.
    """

    actions: stream.Interface
    packets: stream.Interface
    orders: stream.Interface
    data: stream.Interface
    translate: Any
    scatter_rows: stream.Interface
    failures: stream.Interface
    failed: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "actions": In(stream.Signature(ActionLayout(config))),
                "packets": In(PacketSignature(config.data_bytes)),
                "orders": Out(stream.Signature(WriteOrderLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                "translate": Out(TranslateSignature(config)),
                "scatter_rows": In(stream.Signature(ScatterRowLayout(config))),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "failed": In(StrobeLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.cut = cut = PacketCut(data_bytes=config.data_bytes)
        m.submodules.scatter = scatter = ScatterWalk(config=config)
        m.submodules.ask = ask = AskPlace(config=config)
        m.submodules.told = told = Queue(shape=FailureLayout(config), depth=_FAILURES, shallow=True)
        m.submodules.dead = dead = SimpleDualPortRam(
            shape=1, depth=config.queue_pairs, lane_count=1, latency=1, bypass=True
        )
        wiring.connect(m, wiring.flipped(self.actions), ask.actions)
        wiring.connect(m, ask.translate, wiring.flipped(self.translate))
        wiring.connect(m, ask.walks, scatter.jobs)
        packets, pieces, walked = self._stages(m, cut, scatter)
        wiring.connect(m, wiring.flipped(self.packets), packets)
        wiring.connect(m, cut.o, wiring.flipped(self.data))
        wiring.connect(m, wiring.flipped(self.scatter_rows), scatter.rows)
        wiring.connect(m, told.o, wiring.flipped(self.failures))

        action: Any = ask.waiting.p
        found: Any = ask.found.p

        # What an order is made of. What the walk of a list says comes late, and so has signals of
        # its own: it is not among those that take an action from its queue.
        emits = Signal()  # there is one, if all that it goes to can take it
        ends = Signal()  # the last one
        scatters = Signal()
        order_ends = Signal()
        is_data = Signal()
        cuts_last = Signal()  # the last piece of the packet
        outcome = Signal(Outcome)
        span: Any = Signal(SpanLayout())
        skip = Signal(cut.pieces.p.skip.shape())
        is_cut = Signal()  # the packet's last piece is gone
        can_order = Signal()
        needs_piece = Signal()
        can_move = Signal()
        order_moves = Signal()
        m.d.comb += [
            needs_piece.eq(is_data | (action.has_packet & ~is_cut)),
            can_order.eq(self._order_is_free() & told.i.ready & ~self.failed.valid),
            can_move.eq(can_order & (pieces.ready | ~needs_piece)),
            order_moves.eq((emits | (scatters & walked.valid)) & can_move),
            order_ends.eq(
                Mux(
                    scatters,
                    walked.p.short | (walked.p.last & ~action.completion.valid),
                    ends,
                )
            ),
            # This may be taken back: nothing in there minds.
            pieces.valid.eq((emits | (scatters & walked.valid)) & can_order & needs_piece),
            pieces.p.skip.eq(skip),
            pieces.p.take.eq(Mux(is_data, span.length, 0)),
            pieces.p.last.eq(cuts_last | ~is_data),
        ]

        flushed = Signal()
        has_data = Signal()
        crosses = Signal()
        ended_as = Signal(Outcome, reset_less=True)
        discards = Signal()  # what was walked of it goes nowhere
        m.d.comb += [
            flushed.eq(dead.read_data & ~action.revive),
            has_data.eq(action.is_translated | action.is_walked),
            crosses.eq(found.first.length != action.payload_bytes),
            span.eq(found.first),
            skip.eq(action.payload_offset),
            # Without data, that is; where there are some, it says so.
            ends.eq(~action.completion.valid),
        ]

        with m.FSM():
            with m.State("READ"):
                m.d.sync += is_cut.eq(0)
                with m.If(ask.waiting.valid & (ask.found.valid | ~action.is_translated)):
                    m.next = "WORK"

            with m.State("WORK"):
                with m.If(flushed):
                    m.d.comb += [emits.eq(1), ends.eq(1), outcome.eq(Outcome.FLUSHED)]
                    m.d.comb += ask.invalidated.eq(can_move & action.invalidate)
                with m.Elif(action.invalidate):
                    m.next = "INVALIDATE"
                with m.Elif(~has_data):
                    m.d.comb += [emits.eq(1), ends.eq(1)]
                with m.Elif(~action.is_translated):
                    m.next = "SCATTER"
                with m.Elif(~found.ok):
                    m.d.comb += [emits.eq(1), ends.eq(1), outcome.eq(Outcome.REFUSED)]
                with m.Else():
                    m.d.comb += [emits.eq(1), is_data.eq(1), cuts_last.eq(~crosses)]
                    with m.If(crosses):
                        m.d.comb += ends.eq(0)
                    m.d.sync += ended_as.eq(Outcome.GOOD)
                    with m.If(can_move):
                        with m.If(crosses):
                            m.next = "SECOND"
                        with m.Else():
                            m.d.sync += is_cut.eq(1)
                            m.next = "END"
                with m.If(emits & can_move & ends):
                    m.next = "READ"
                    with m.If(flushed & action.is_walked):
                        m.next = "DISCARD"

            with m.State("SECOND"):
                m.d.comb += [
                    emits.eq(1),
                    is_data.eq(1),
                    cuts_last.eq(1),
                    span.space.eq(found.space),
                    span.address.eq(Cat(C(0, PAGE_BITS), found.page)),
                    span.length.eq(action.payload_bytes - found.first.length),
                    skip.eq(action.payload_offset + found.first.length),
                ]
                with m.If(can_move):
                    m.d.sync += is_cut.eq(1)
                    m.next = "END"
                    with m.If(ends):
                        m.next = "READ"

            with m.State("SCATTER"):
                m.d.comb += [
                    scatters.eq(1),
                    is_data.eq(~walked.p.short),
                    cuts_last.eq(walked.p.last),
                    span.eq(walked.p.span),
                    skip.eq(walked.p.skip),
                    outcome.eq(Mux(walked.p.short, Outcome.SHORT, Outcome.GOOD)),
                    walked.ready.eq(can_move),
                ]
                m.d.sync += ended_as.eq(Outcome.GOOD)
                with m.If(walked.valid & can_move & walked.p.last):
                    m.d.sync += is_cut.eq(1)
                    m.next = "END"
                    with m.If(order_ends):
                        m.next = "READ"

            with m.State("INVALIDATE"):
                m.d.comb += ask.may_invalidate.eq(1)
                with m.If(ask.asked):
                    m.next = "INVALIDATED"

            with m.State("INVALIDATED"):
                m.d.comb += ask.invalidated.eq(ask.found.valid)
                m.d.sync += [
                    ended_as.eq(Mux(found.ok, Outcome.GOOD, Outcome.REFUSED)),
                    discards.eq(~found.ok & action.is_walked),
                ]
                with m.If(ask.found.valid):
                    m.next = "END"
                    with m.If(found.ok & has_data):
                        m.next = "SCATTER"

            with m.State("END"):
                m.d.comb += [emits.eq(1), ends.eq(1), outcome.eq(ended_as)]
                with m.If(can_move):
                    m.next = "READ"
                    with m.If(discards):
                        m.next = "DISCARD"

            with m.State("DISCARD"):
                m.d.comb += walked.ready.eq(1)
                m.d.sync += discards.eq(0)
                with m.If(walked.valid & walked.p.last):
                    m.next = "READ"

        takes = Signal()
        m.d.comb += [
            takes.eq(can_move & Mux(scatters, walked.valid & order_ends, emits & ends)),
            ask.waiting.ready.eq(takes),
            # A flushed action that would have invalidated has asked nothing: nothing is here.
            ask.found.ready.eq(ask.invalidated | (takes & action.is_translated)),
        ]
        self._remember(m, action, dead, told, outcome, order_moves & order_ends)
        self._order(m, action, span, outcome, is_data=is_data, ends=order_ends, moves=order_moves)
        return m

    def _remember(
        self,
        m: Module,
        action: Any,
        dead: SimpleDualPortRam,
        told: Queue,
        outcome: Any,
        done: Value,
    ) -> None:
        """Keep which queue pairs are dead, and tell of those that die here."""
        fails = Signal()
        failure: Any = Signal(FailureLayout(self.config))
        # With narrow beats orders are 2 cycles apart: whether there is room for the next failure is
        # seen in time.
        cycles = 1 if self.config.is_narrow else 0
        m.d.comb += [
            fails.eq((outcome == Outcome.REFUSED) | (outcome == Outcome.SHORT)),
            # What is read at any time is the queue pair of the action that is next.
            dead.read_en.eq(1),
            dead.read_address.eq(action.queue_pair),
            # No action is done in the cycle of the strobe.
            dead.write_lanes.eq(self.failed.valid | (done & (fails | action.revive))),
            dead.write_address.eq(
                Mux(self.failed.valid, self.failed.queue_pair, action.queue_pair)
            ),
            dead.write_data.eq(self.failed.valid | fails),
            told.i.valid.eq(later(m, done & fails, cycles)),
            told.i.payload.eq(later(m, failure, cycles)),
            failure.queue_pair.eq(action.queue_pair),
            failure.status.eq(
                Mux(
                    outcome == Outcome.SHORT,
                    CompletionStatus.LOCAL_LENGTH,
                    CompletionStatus.REMOTE_ACCESS,
                )
            ),
        ]

    def _stages(self, m: Module, cut: PacketCut, scatter: ScatterWalk) -> tuple[Any, Any, Any]:
        """Where packets come, where pieces go, and where those of a list come from."""
        if not self.config.is_narrow:
            m.submodules.walked = queue = Queue(shape=ScatterPieceLayout(), depth=_PIECES)
            wiring.connect(m, scatter.o, queue.i)
            return cut.i, cut.pieces, queue.o
        m.submodules.packets = packets = SkidBuffer(data_bytes=self.config.data_bytes)
        m.submodules.pieces = pieces = OneRow(shape=PieceLayout())
        m.submodules.walked = walked = OneRow(shape=ScatterPieceLayout())
        wiring.connect(m, packets.o, cut.i)
        wiring.connect(m, pieces.o, cut.pieces)
        wiring.connect(m, scatter.o, walked.i)
        return packets.i, pieces.i, walked.o

    def _order_is_free(self) -> Value:
        """Whether an order may be put on the output."""
        if self.config.is_narrow:
            return ~self.orders.valid
        return self.orders.ready | ~self.orders.valid

    def _order(
        self,
        m: Module,
        action: Any,
        span: Any,
        outcome: Any,
        *,
        is_data: Value,
        ends: Value,
        moves: Value,
    ) -> None:
        """Put an order on the output."""
        order: Any = Signal(WriteOrderLayout(self.config), reset_less=True)
        m.d.comb += self.orders.payload.eq(order)
        with m.If(self.orders.ready):
            m.d.sync += self.orders.valid.eq(0)
        with m.If(self._order_is_free()):
            m.d.sync += [
                self.orders.valid.eq(moves),
                order.kind.eq(WriteOrderKind.NOTHING),
                order.span.eq(span),
                order.swapped.eq(action.swapped),
                order.completion.eq(action.completion),
                order.last.eq(ends),
                order.event.eq(action.event),
                order.queue_pair.eq(action.queue_pair),
            ]
            with m.If(is_data):
                m.d.sync += order.kind.eq(WriteOrderKind.DATA)
            with m.Elif(action.completion.valid):
                m.d.sync += order.kind.eq(WriteOrderKind.COMPLETION)
            with m.Switch(outcome):
                with m.Case(Outcome.FLUSHED):
                    m.d.sync += [
                        order.completion.status.eq(CompletionStatus.FLUSHED),
                        order.event.kind.eq(EventKind.NOTHING),
                        order.event.notify.eq(0),
                    ]
                with m.Case(Outcome.REFUSED, Outcome.SHORT):
                    is_short = outcome == Outcome.SHORT
                    m.d.sync += [
                        order.completion.status.eq(
                            Mux(
                                is_short,
                                CompletionStatus.LOCAL_LENGTH,
                                CompletionStatus.REMOTE_ACCESS,
                            )
                        ),
                        order.event.syndrome.eq(Mux(is_short, _REMOTE_OPERATION, _REMOTE_ACCESS)),
                    ]
                    with m.If(action.event.kind != EventKind.NOTHING):
                        m.d.sync += order.event.kind.eq(EventKind.FATAL_NAK)
