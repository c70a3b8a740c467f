"""Takes packets, knows queue pairs, says what is to be done."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam
from hdl.stream import Queue

from .answer_layouts import HeadLayout, JobKind, JobWriteLayout
from .config import RoceConfig
from .context import ContextLayout, QueuePairState, StateLayout
from .entrance import Entrance
from .finish import Finish
from .key_check import CheckedLayout, KeyCheck, KeyRowLayout
from .layouts import (
    ActionLayout,
    CompletionStatus,
    FailureLayout,
    RequestLayout,
    StrobeLayout,
)
from .receive_queues import LimitLayout, PostLayout, ReceiveQueues
from .state_table import StateTable
from .task import AsyncEventKind, AsyncEventLayout, TaskKind
from .verdict import Verdict
from .verdict_layouts import Outcome

__all__ = ["Protocol"]

# Actions that wait for the mover: those on their way (6), and the time that it needs to see them.
_ACTIONS = 16
# Congestion notifications that wait for the requester; one more says nothing new.
_CONGESTED = 16


class Protocol(wiring.Component):
    """Check each packet against its queue pair, and say what is to be done about it.

    A packet, or a task from inside (a queue pair set up, one that failed, a request flushed),
    enters every second cycle and passes all stages without a stop:

    ==== ======================================================================================
    0    address of context and state; not while the same queue pair has yet to write its own
    2    both in registers; comparisons
    3    decision; the new state is written; the receive queue is looked at
    8    receive request: does the message fit into it?
    10   action; the state of those that take a receive request is written
    ==== ======================================================================================

    So two packets of a queue pair are 4 cycles apart, 12 behind one that takes a receive request,
    (:class:`StateTable`). With narrow beats the decision takes 2 cycles more and the action 2 more
    of its own, so that they are 6 cycles apart, or 16; who enters is chosen a cycle before, and
    others than packets enter every fourth cycle.
    After reset the tables are cleared, a row each cycle; packets wait as long.

    Latency is 4 cycles of :class:`KeyCheck` and 11 to the action, 3 more through its queue; with
    narrow beats 5, 16 and 3. Throughput is a packet every 2 cycles, of one queue pair every 4; with
    narrow beats every 8, for :class:`KeyCheck` has one at a time.

    Specification: docs/roce.md; IBTA Architecture Specification volume 1, 9.6 to 9.8.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    requests : In(stream.Signature(RequestLayout()))
    actions : Out(stream.Signature(ActionLayout(config)))
        One for each request, in order, and others without a packet.
    job : Out(JobWriteLayout(config))
        Strobe.
    head : In(HeadLayout(config))
        Strobe: jobs are done.
    contexts : In(stream.Signature({queue_pair, row: ContextLayout(config)}))
        Set a queue pair up anew; taken when that is done.
    keys : In(stream.Signature(KeyRowLayout(config)))
    receives, limits :
        As :class:`ReceiveQueues` has them.
    receive_refused : Out(1)
        Pulse: a receive request did not fit into its queue.
    failures : In(stream.Signature(FailureLayout(config)))
        Queue pairs to move to error.
    async_events : Out(stream.Signature(AsyncEventLayout()))
        Lost if nobody takes as many as there are queue pairs and receive queues.
    congested : Out(stream.Signature(config.bits("queue_pairs")))
        Queue pairs to which a CNP came.
    errors : Out(StrobeLayout(config))
        Strobe: the queue pair is in error from now on.
    tick, cnp_interval : In(1), In(16)
        Pulse that counts time, and pulses from a CNP of a queue pair to its next one.
    """

    def __init__(self, *, config: RoceConfig):
        self.config = config
        qp_bits = config.bits("queue_pairs")
        written = data.StructLayout({"queue_pair": qp_bits, "row": ContextLayout(config)})
        super().__init__(
            {
                "requests": In(stream.Signature(RequestLayout())),
                "actions": Out(stream.Signature(ActionLayout(config))),
                "job": Out(JobWriteLayout(config)),
                "head": In(HeadLayout(config)),
                "contexts": In(stream.Signature(written)),
                "keys": In(stream.Signature(KeyRowLayout(config))),
                "receives": In(stream.Signature(PostLayout(config))),
                "limits": In(stream.Signature(LimitLayout(config))),
                "receive_refused": Out(1),
                "failures": In(stream.Signature(FailureLayout(config))),
                "async_events": Out(stream.Signature(AsyncEventLayout())),
                "congested": Out(stream.Signature(qp_bits)),
                "errors": Out(StrobeLayout(config)),
                "tick": In(1),
                "cnp_interval": In(16),
            }
        )
        self._queues = ReceiveQueues(config=config)

    requests: stream.Interface
    actions: stream.Interface
    job: data.View
    head: data.View
    contexts: stream.Interface
    keys: stream.Interface
    receives: stream.Interface
    limits: stream.Interface
    receive_refused: Signal
    failures: stream.Interface
    async_events: stream.Interface
    congested: stream.Interface
    errors: data.View
    tick: Signal
    cnp_interval: Signal

    def elaborate(self, platform):
        m = Module()
        config = self.config
        qp_bits = config.bits("queue_pairs")

        m.submodules.key_check = keys = KeyCheck(config=config)
        m.submodules.verdict = verdict = Verdict(config=config)
        m.submodules.queues = queues = self._queues
        m.submodules.finish = finish = Finish(config=config)
        m.submodules.actions_queue = actions = Queue(
            shape=ActionLayout(config),
            depth=_ACTIONS,
            block=True,
            counted=True,
            half_rate=config.is_narrow,
        )
        m.submodules.flushes = flushes = Queue(shape=unsigned(qp_bits), depth=config.queue_pairs)
        wiring.connect(m, wiring.flipped(self.requests), keys.i)
        wiring.connect(m, wiring.flipped(self.keys), keys.keys)
        wiring.connect(m, actions.o, wiring.flipped(self.actions))
        wiring.connect(m, wiring.flipped(self.receives), queues.posts)
        wiring.connect(m, wiring.flipped(self.limits), queues.limits)
        contexts, states, heads = self._tables(m)

        # After reset, what the memories hold is of before: all of it goes first.
        steps = max(config.queue_pairs, config.receive_queues)
        clearing = Signal(init=1)
        cleared = Signal(range(steps))
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(cleared != steps - 1)]
        m.d.comb += [queues.clear.valid.eq(clearing), queues.clear.queue.eq(cleared)]

        phase = Signal()  # low in the even cycles of what is on its way
        # In step with that of the table, and a register of its own, for it goes far.
        m.d.sync += phase.eq(~phase)
        m.d.comb += [states.clear.eq(clearing), states.cleared.eq(cleared)]
        now = Signal(16)
        m.d.sync += now.eq(now + self.tick)

        # 0: who enters; 1: it is taken, tables read.
        m.submodules.entrance = entrance = Entrance(config=config, room=actions.capacity)
        ends = finish.o_valid & (finish.o_kind == TaskKind.SET_UP)
        m.d.comb += [
            states.wants.eq(entrance.wants),
            states.index.eq(entrance.index),
            states.late.eq(entrance.late),
            entrance.turn.eq(states.turn),
            entrance.left.eq(actions.o.valid & actions.o.ready),
            entrance.packet_is_slow.eq(_may_take_receive(keys.o.p.request.opcode)),
            entrance.set_up_done.eq(ends),
            self.contexts.ready.eq(ends),
        ]
        for kind, source, queue_pair in (
            (TaskKind.PACKET, keys.o, keys.o.p.request.queue_pair),
            (TaskKind.SET_UP, self.contexts, self.contexts.p.queue_pair),
            (TaskKind.FAIL, self.failures, self.failures.p.queue_pair),
            (TaskKind.FLUSH, flushes.o, flushes.o.payload),
        ):
            ask = entrance.asks[kind.value]
            m.d.comb += [ask.valid.eq(source.valid), ask.queue_pair.eq(queue_pair)]
            if kind != TaskKind.SET_UP:
                m.d.comb += source.ready.eq(entrance.taken[kind.value])
        for table in (contexts, heads):
            m.d.comb += [table.read_en.eq(~phase), table.read_address.eq(entrance.index)]

        # 2 and 3: the packet beside what the tables have.
        checked: Any = Signal(CheckedLayout(config), reset_less=True)
        task: Any = Signal(
            data.StructLayout(
                {"kind": TaskKind, "queue_pair": qp_bits, "failure": CompletionStatus}
            )
        )
        valid_2 = Signal()
        with m.If(phase):
            m.d.sync += [
                checked.eq(keys.o.payload),
                checked.request.good.eq(
                    keys.o.p.request.good & entrance.taken[TaskKind.PACKET.value]
                ),
                task.kind.eq(entrance.kind),
                task.queue_pair.eq(entrance.queue_pair),
                task.failure.eq(self.failures.p.status),
                valid_2.eq(entrance.entered),
            ]
        context: Any = contexts.read_data
        vi: Any = verdict.i
        m.d.comb += [
            vi.checked.eq(checked),
            vi.context.eq(context),
            vi.state.eq(states.row),
            vi.head.eq(heads.read_data),
            vi.now.eq(now),
            vi.cnp_interval.eq(self.cnp_interval),
        ]

        # 3: the decision.
        vo: Any = verdict.o
        at_3 = Signal()
        before_state: Any = states.row
        request = checked.request
        if config.is_narrow:
            # At 5, two cycles later: registers of two cycles, as those before.
            valid_2, task, request, context, before_state = (
                self._later(m, phase, value)
                for value in (valid_2, task, request, context, before_state)
            )
        is_packet = task.kind == TaskKind.PACKET
        was_ready = before_state.state == QueuePairState.READY
        fails = Signal()
        flushes_3 = Signal()
        state_3: Any = Signal(StateLayout(config))
        m.d.comb += [
            at_3.eq(valid_2 & phase),
            fails.eq((task.kind == TaskKind.FAIL) & was_ready),
            flushes_3.eq(
                (task.kind == TaskKind.FLUSH)
                & (before_state.state == QueuePairState.ERROR)
                & ~context.is_shared
            ),
            state_3.eq(vo.state),
        ]
        with m.If(fails):
            m.d.comb += [state_3.state.eq(QueuePairState.ERROR), state_3.has_receive.eq(0)]
        m.d.comb += [
            queues.phase.eq(phase),
            queues.take.valid.eq(at_3),
            queues.take.queue.eq(context.receive_queue),
            queues.take.tells.eq(is_packet),
            queues.take.take.eq(flushes_3 | (vo.takes_receive & ~vo.had_receive)),
        ]
        carried: Any = finish.i
        m.d.comb += [
            finish.phase.eq(phase),
            finish.taken.eq(queues.taken),
            carried.valid.eq(at_3),
            carried.kind.eq(task.kind),
            carried.queue_pair.eq(task.queue_pair),
            carried.works.eq(Mux(is_packet, 1, fails | flushes_3)),
            carried.failure.eq(task.failure),
            carried.verdict.eq(vo),
            carried.verdict.state.eq(state_3),
            *(
                carried[name].eq(request[name])
                for name in (
                    "payload_bytes",
                    "payload_offset",
                    "ip_offset",
                    "v6",
                    "ack_request",
                    "solicited",
                    "key",
                    "immediate",
                    "source_queue_pair",
                )
            ),
            *(
                carried[name].eq(context[name])
                for name in (
                    "number",
                    "service",
                    "completion_queue",
                    "is_shared",
                    "rnr_timer",
                    "receive_queue",
                )
            ),
        ]
        self._write_jobs(
            m, at_3 & is_packet & (vo.outcome == Outcome.JOB), task, context, request, vo
        )

        # 10: the action; both writers of the state have cycles of their own.
        row: Any = self.contexts.p.row
        fresh: Any = Signal(StateLayout(config))
        m.d.comb += [
            fresh.state.eq(row.state),
            fresh.expected.eq(row.expected),
            fresh.tail.eq(finish.o_state.tail),
            contexts.write_lanes.eq(ends),
            contexts.write_address.eq(self.contexts.p.queue_pair),
            contexts.write_data.eq(row),
            states.write.eq(valid_2 & ~vo.takes_receive),
            states.write_index.eq(task.queue_pair),
            states.write_row.eq(state_3),
            states.late_write.eq(finish.o_valid & finish.o_writes),
            states.late_index.eq(finish.o_queue_pair),
            states.late_row.eq(Mux(finish.o_kind == TaskKind.SET_UP, fresh, finish.o_state)),
            actions.i.valid.eq(finish.o_valid),
            actions.i.payload.eq(finish.o),
        ]
        with m.If(clearing):
            m.d.comb += [
                heads.write_lanes.eq(1),
                heads.write_address.eq(cleared),
                heads.write_data.eq(0),
            ]
        self._tell(m, finish, flushes)
        return m

    def _tables(self, m: Module) -> tuple[Any, Any, Any]:
        """Contexts, states, and heads of the job rings, by queue pair."""
        config = self.config

        def table(name, shape, bypass):
            ram = SimpleDualPortRam(
                shape=shape,
                depth=config.queue_pairs,
                lane_count=1,
                latency=2,
                bypass=bypass,
            )
            m.submodules[name] = ram
            return ram

        # A head may come in any cycle, so also in that in which it is read.
        heads = table("heads", unsigned(config.bits("resources") + 1), True)
        m.d.comb += [
            heads.write_lanes.eq(self.head.valid),
            heads.write_address.eq(self.head.queue_pair),
            heads.write_data.eq(self.head.head),
        ]
        contexts = table("contexts", ContextLayout(config), False)
        is_narrow = config.is_narrow
        m.submodules.states = states = StateTable(
            shape=StateLayout(config),
            depth=config.queue_pairs,
            write_cycles=5 if is_narrow else 3,
            late_cycles=14 if is_narrow else 10,
        )
        return contexts, states, heads

    def _later(self, m: Module, phase: Signal, value: Any) -> Any:
        """``value``, which stays for two cycles, in the next two."""
        later = Signal(value.shape())
        with m.If(phase):
            m.d.sync += later.eq(value)
        return later

    def _write_jobs(self, m: Module, valid, task, context, request, verdict) -> None:
        """Put the row of a job into its ring, a cycle later."""
        job: Any = Signal(JobWriteLayout(self.config), reset_less=True)
        job_valid = Signal()
        is_read = verdict.job_kind == JobKind.READ
        m.d.sync += [
            job_valid.eq(valid),
            job.queue_pair.eq(task.queue_pair),
            job.slot.eq((verdict.state.tail - 1)[: len(job.slot)]),
            job.job.kind.eq(verdict.job_kind),
            job.job.again.eq(verdict.again),
            job.job.psn.eq(request.psn),
            job.job.msn.eq(verdict.state.msn),
            job.job.mtu_shift.eq(context.mtu_shift),
            job.job.place.eq(verdict.place),
            job.job.operand.eq(Mux(is_read, request.length, request.operand)),
            job.job.compare.eq(request.compare),
        ]
        m.d.comb += [self.job.eq(job), self.job.valid.eq(job_valid)]

    def _tell(self, m: Module, finish, flushes) -> None:
        """Tell the driver, the requester, and those who flush."""
        config = self.config
        m.submodules.congested_queue = congested = Queue(
            shape=unsigned(config.bits("queue_pairs")), depth=_CONGESTED, shallow=True
        )
        m.submodules.events = events = Queue(
            shape=AsyncEventLayout(), depth=config.queue_pairs + config.receive_queues, block=True
        )
        wiring.connect(m, congested.o, wiring.flipped(self.congested))
        wiring.connect(m, events.o, wiring.flipped(self.async_events))
        m.d.comb += [
            congested.i.valid.eq(finish.o_valid & finish.o_congested),
            congested.i.payload.eq(finish.o_queue_pair),
            # Each queue pair is in the queue once at most: it comes when it fails, and comes back
            # when it has left.
            flushes.i.valid.eq(finish.o_valid & finish.o_flushes),
            flushes.i.payload.eq(finish.o_queue_pair),
            events.i.valid.eq(finish.event.valid),
            events.i.payload.eq(finish.event.p),
            self.receive_refused.eq(self._queues.refused),
            self.errors.valid.eq(
                finish.event.valid & (finish.event.p.kind != AsyncEventKind.LIMIT)
            ),
            self.errors.queue_pair.eq(finish.event.p.number),
        ]


def _may_take_receive(opcode: Value) -> Value:
    """Whether a packet of this opcode may want a receive request: SENDs that begin, immediates.

    Numbers within a service: IBTA volume 1, 9.2.1.
    """
    return Cat(opcode[:5] == n for n in (0x00, 0x04, 0x05, 0x09, 0x0B, 0x17)).any()
