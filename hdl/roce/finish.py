"""The end of the protocol: receive requests, and what is to be done."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .context import Operation, QueuePairState, StateLayout
from .layouts import (
    PAYLOAD_BITS,
    ActionKind,
    ActionLayout,
    CompletionStatus,
    EventKind,
)
from .opcode import Service
from .receive_queues import TakenLayout
from .task import AsyncEventKind, AsyncEventLayout, CarriedLayout, TaskKind
from .verdict_layouts import Outcome

__all__ = ["Finish"]

#: Bytes before a datagram's payload, for its IP header (IBTA volume 1, Annex A17).
_ROUTE_HEADER_BYTES = 40
# Syndromes: IBTA volume 1, 9.7.5.2. 31 credits: none are stated.
_SEQUENCE_NAK, _INVALID_NAK, _ACCESS_NAK, _RNR_NAK = 0x60, 0x61, 0x62, 0x20
_NO_CREDITS = 31


class Finish(wiring.Component):
    """Carry a packet until its receive request is known; then make action, event and state.

    Packets come and leave in every second cycle; so each register on their way is for two.

    Latency is 7 cycles, with narrow beats 9: then what follows is decided in one cycle and put
    together in the next, and outputs are registered. Throughput is a packet every 2 cycles.

    Specification: docs/roce.md; IBTA Architecture Specification volume 1, 9.7.5 to 9.8.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    phase : In(1)
        High in the cycle in which packets come.
    i : In(CarriedLayout(config))
    taken : In(TakenLayout(config))
        What the receive queue had: 5 cycles behind ``i``.
    o_valid : Out(1)
        The other outputs mean something, ``latency`` cycles behind ``i``.
    o : Out(ActionLayout(config))
    o_kind, o_queue_pair : Out(TaskKind), Out(config.bits("queue_pairs"))
    o_writes, o_state : Out(1), Out(StateLayout(config))
        Write this state.
    o_flushes : Out(1)
        The queue pair is in error and may have more receive requests.
    o_congested : Out(1)
        A congestion notification came for it.
    event : Out({valid: 1, p: AsyncEventLayout()})
        For the driver; in either cycle.

    Attributes
    ----------
    latency : int
    """

    phase: Signal
    i: data.View
    taken: data.View
    o_valid: Signal
    o: data.View
    o_kind: Any
    o_queue_pair: Signal
    o_writes: Signal
    o_state: data.View
    o_flushes: Signal
    o_congested: Signal
    event: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.latency = 9 if config.is_narrow else 7
        super().__init__(
            {
                "phase": In(1),
                "i": In(CarriedLayout(config)),
                "taken": In(TakenLayout(config)),
                "o_valid": Out(1),
                "o": Out(ActionLayout(config)),
                "o_kind": Out(TaskKind),
                "o_queue_pair": Out(config.bits("queue_pairs")),
                "o_writes": Out(1),
                "o_state": Out(StateLayout(config)),
                "o_flushes": Out(1),
                "o_congested": Out(1),
                "event": Out(data.StructLayout({"valid": 1, "p": AsyncEventLayout()})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        i: Any = self.i
        taken: Any = self.taken

        # 4 to 11: four registers, each for two cycles.
        steps: list[Any] = [
            Signal(CarriedLayout(config), name=f"carried_{n}", reset_less=True) for n in range(4)
        ]
        valid = Signal(4)
        with m.If(self.phase):
            m.d.sync += [
                steps[0].eq(i),
                *(after.eq(before) for before, after in pairwise(steps)),
                valid.eq(Cat(i.valid, valid[:3])),
            ]

        # 8: the receive request, in use or taken now; does the message fit?
        at_8 = steps[2]
        state_8 = at_8.verdict.state
        length_8 = Signal(32)
        size_8 = Signal(PAYLOAD_BITS + 1)
        room_8 = Signal(33)
        is_datagram_8 = at_8.service == Service.UD
        m.d.comb += [
            length_8.eq(Mux(at_8.verdict.had_receive, state_8.receive_length, taken.length)),
            size_8.eq(at_8.payload_bytes + Mux(is_datagram_8, _ROUTE_HEADER_BYTES, 0)),
            room_8.eq(length_8 - size_8),
        ]
        receive: Any = Signal(
            data.StructLayout(
                {
                    "has": 1,
                    "taken": 1,
                    "fits": 1,
                    "handle": len(taken.handle),
                    "length": 32,
                    "room": 32,
                    "credits": 5,
                    "is_last": 1,
                    "limit": 1,
                }
            ),
            reset_less=True,
        )
        with m.If(~self.phase):
            m.d.sync += [
                receive.has.eq(at_8.verdict.had_receive | taken.taken),
                receive.taken.eq(taken.taken),
                receive.fits.eq(~room_8[32]),
                receive.handle.eq(Mux(at_8.verdict.had_receive, state_8.handle, taken.handle)),
                receive.length.eq(length_8),
                receive.room.eq(room_8[:32]),
                receive.credits.eq(Mux(at_8.is_shared, _NO_CREDITS, _credit_code(taken.left))),
                receive.limit.eq(valid[2] & taken.limit),
            ]
        o, failed, reason = self._end(m, steps[3], receive)
        told: Any = Signal(AsyncEventLayout())
        m.d.comb += [told.kind.eq(reason), told.number.eq(steps[3].number)]
        # With narrow beats what was decided in the cycle before is put together at 11, and leaves
        # at 12.
        ends = Signal()
        tells = Signal()
        if config.is_narrow:
            m.d.sync += ends.eq(valid[3] & self.phase)
            m.d.sync += tells.eq(valid[3] & self.phase & failed)
        else:
            m.d.comb += [ends.eq(valid[3] & ~self.phase), tells.eq(ends & failed)]
        told, *outputs = (self._held(m, value) for value in (told, *o.values()))
        m.d.comb += [
            self.o_valid.eq(ends),
            *(getattr(self, name).eq(value) for name, value in zip(o, outputs, strict=True)),
        ]

        # The driver hears of a queue pair with its action, of its receive queue at 9.
        with m.If(~self.phase):
            m.d.comb += [self.event.valid.eq(tells), self.event.p.eq(told)]
        with m.Else():
            m.d.comb += [
                self.event.valid.eq(receive.limit),
                self.event.p.kind.eq(AsyncEventKind.LIMIT),
                self.event.p.number.eq(steps[2].receive_queue),
            ]
        return m

    def _held(self, m: Module, value: Any) -> Any:
        """``value``, with narrow beats a cycle later."""
        if not self.config.is_narrow:
            return value
        held = Signal(value.shape(), reset_less=True)
        m.d.sync += held.eq(value)
        return held

    def _end(self, m: Module, at: Any, receive: Any) -> tuple[dict[str, Any], Value, Value]:
        """10: put together what follows: outputs by name; whether and why the queue pair fails."""
        outputs: dict[str, Any] = {
            name: Signal(getattr(self, name).shape(), name=f"new_{name}")
            for name in (
                "o",
                "o_kind",
                "o_queue_pair",
                "o_writes",
                "o_state",
                "o_flushes",
                "o_congested",
            )
        }
        o: Any = outputs["o"]
        verdict = at.verdict
        opcode, after = verdict.opcode, verdict.state
        is_rc, is_ud = at.service == Service.RC, at.service == Service.UD
        is_packet = at.kind == TaskKind.PACKET

        accepted = is_packet & (verdict.outcome == Outcome.ACCEPT)
        takes = verdict.takes_receive
        lacks = takes & ~receive.has
        # A SEND that begins, and its receive request.
        begins_send = takes & opcode.is_send
        too_long = Mux(begins_send, ~receive.fits, verdict.too_long)
        status = Signal(CompletionStatus)
        invalid, access, done, rnr = Signal(), Signal(), Signal(), Signal()
        late_failure = Signal()
        m.d.comb += [
            rnr.eq(accepted & is_rc & lacks),
            late_failure.eq(
                accepted & is_rc & ~lacks & opcode.is_send & (too_long | verdict.bad_invalidate)
            ),
            invalid.eq(
                (is_packet & (verdict.outcome == Outcome.INVALID)) | (late_failure & too_long)
            ),
            access.eq(
                (is_packet & (verdict.outcome == Outcome.ACCESS)) | (late_failure & ~too_long)
            ),
            # Of unreliable services what does not fit, or lacks a request, is dropped.
            done.eq(accepted & ~lacks & ~(opcode.is_send & too_long) & ~late_failure),
        ]
        # Steps are for two cycles; what comes from the receive request is for the first of them.
        invalid, access, done, rnr, late_failure, receive = (
            self._held(m, value) for value in (invalid, access, done, rnr, late_failure, receive)
        )
        fatal = invalid | access

        # State, for those that take a receive request.
        state: Any = outputs["o_state"]
        m.d.comb += [
            outputs["o_kind"].eq(at.kind),
            outputs["o_queue_pair"].eq(at.queue_pair),
            outputs["o_writes"].eq(verdict.takes_receive | (at.kind == TaskKind.SET_UP)),
            state.eq(after),
        ]
        keeps = ~done | ~opcode.ends
        with m.If(takes):
            m.d.comb += [
                # What an unreliable message does not use is there for the next one.
                state.has_receive.eq(receive.has & keeps & ~fatal),
                state.handle.eq(receive.handle),
                state.receive_length.eq(receive.length),
            ]
            with m.If(opcode.is_send):
                m.d.comb += state.left.eq(receive.room)
            with m.If(~done):
                m.d.comb += state.operation.eq(Operation.NONE)
            with m.If(fatal):
                m.d.comb += state.state.eq(QueuePairState.ERROR)
            with m.If(rnr):
                # As before the packet, but for the NAK: the end of a WRITE was all its rest.
                m.d.comb += [
                    state.refused.eq(1),
                    state.expected.eq(verdict.answer_psn),
                    state.place.eq(verdict.place),
                ]
                with m.If(~opcode.begins):
                    m.d.comb += [
                        state.operation.eq(Operation.WRITE),
                        state.left.eq(at.payload_bytes),
                    ]
        msn = (after.msn - (opcode.ends & (rnr | (late_failure & takes))))[:24]
        with m.If(takes & rnr):
            m.d.comb += state.msn.eq(msn)

        # Action.
        event, completion = o.event, o.completion
        m.d.comb += [
            o.has_packet.eq(is_packet),
            o.queue_pair.eq(at.queue_pair),
            o.payload_offset.eq(at.payload_offset),
            o.payload_bytes.eq(at.payload_bytes),
            o.place.eq(verdict.place),
            o.handle.eq(Mux(verdict.had_receive, after.handle, receive.handle)),
            o.begins.eq(opcode.begins),
            o.is_datagram.eq(is_ud),
            o.v6.eq(at.v6),
            o.ip_offset.eq(at.ip_offset),
            o.invalidate.eq(done & opcode.has_invalidate),
            o.revive.eq(at.kind == TaskKind.SET_UP),
            event.queue_pair.eq(at.queue_pair),
            event.psn.eq(verdict.answer_psn),
            event.msn.eq(msn),
            event.again.eq(verdict.again),
            event.notify.eq(is_packet & verdict.notify),
        ]
        with m.If(done):
            m.d.comb += o.kind.eq(Mux(opcode.is_send, ActionKind.SCATTER, ActionKind.WRITE))
        acknowledges = done | (is_packet & (verdict.outcome == Outcome.DUPLICATE))
        with m.If(at.kind == TaskKind.SET_UP):
            m.d.comb += event.kind.eq(EventKind.RESET)
        with m.Elif(rnr):
            m.d.comb += [
                event.kind.eq(EventKind.RNR_NAK),
                event.syndrome.eq(_RNR_NAK | at.rnr_timer),
            ]
        with m.Elif(fatal):
            m.d.comb += [
                event.kind.eq(EventKind.FATAL_NAK),
                event.syndrome.eq(Mux(invalid, _INVALID_NAK, _ACCESS_NAK)),
            ]
        with m.Elif(is_packet & (verdict.outcome == Outcome.JOB)):
            m.d.comb += event.kind.eq(EventKind.JOB)
        with m.Elif(is_packet & (verdict.outcome == Outcome.SEQUENCE_NAK)):
            m.d.comb += [
                event.kind.eq(EventKind.SEQUENCE_NAK),
                event.syndrome.eq(_SEQUENCE_NAK),
            ]
        with m.Elif(is_rc & acknowledges & at.ack_request):
            m.d.comb += [event.kind.eq(EventKind.ACK), event.syndrome.eq(receive.credits)]

        # Completion: of a message that ended, or of a request that its queue pair's end ended.
        with m.If(at.kind == TaskKind.FLUSH):
            m.d.comb += status.eq(CompletionStatus.FLUSHED)
        with m.Elif(at.kind == TaskKind.FAIL):
            m.d.comb += status.eq(at.failure)
        with m.Elif(access):
            m.d.comb += status.eq(CompletionStatus.REMOTE_ACCESS)
        with m.Elif(invalid):
            m.d.comb += status.eq(
                Mux(
                    late_failure,
                    CompletionStatus.LOCAL_LENGTH,
                    CompletionStatus.REMOTE_INVALID_REQUEST,
                )
            )
        ended = done & opcode.ends & (opcode.is_send | opcode.has_immediate)
        given_back = (
            (fatal & Mux(takes, receive.has, verdict.had_receive))
            | ((at.kind == TaskKind.FAIL) & at.works & verdict.had_receive)
            | ((at.kind == TaskKind.FLUSH) & receive.taken)
        )
        m.d.comb += [
            completion.valid.eq(ended | given_back),
            completion.queue.eq(at.completion_queue),
            completion.queue_pair.eq(at.number),
            completion.handle.eq(o.handle),
            completion.status.eq(status),
        ]
        with m.If(ended):
            m.d.comb += [
                completion.byte_length.eq(
                    after.length + Mux(is_ud & opcode.is_send, _ROUTE_HEADER_BYTES, 0)
                ),
                completion.is_write.eq(opcode.is_write),
                completion.has_immediate.eq(opcode.has_immediate),
                completion.has_invalidated.eq(opcode.has_invalidate),
                completion.value.eq(Mux(opcode.has_invalidate, at.key, at.immediate)),
                completion.source_queue_pair.eq(at.source_queue_pair),
                completion.solicited.eq(at.solicited),
            ]

        failed = fatal | ((at.kind == TaskKind.FAIL) & at.works)
        m.d.comb += [
            outputs["o_flushes"].eq(
                (failed & ~at.is_shared) | ((at.kind == TaskKind.FLUSH) & receive.taken)
            ),
            outputs["o_congested"].eq(is_packet & (verdict.outcome == Outcome.CONGESTED)),
        ]
        reason = Mux(
            status == CompletionStatus.REMOTE_ACCESS,
            AsyncEventKind.ACCESS,
            Mux(at.kind == TaskKind.FAIL, AsyncEventKind.OPERATION, AsyncEventKind.REQUEST),
        )
        return outputs, failed, reason


def _credit_code(left: Value) -> Value:
    """Code of receive requests that are left (IBTA volume 1, 9.7.7).

    Up to 3 it is the number itself; above, twice the number of the highest bit, and one more if
    the bit below it is set: 4, 6, 8, 12, 16, 24 ... are 4, 5, 6, 7, 8, 9.
    """
    code = left[:2]
    for bit in range(2, len(left)):
        code = Mux(left[bit], Cat(left[bit - 1], C(bit, 4)), code)
    return code
