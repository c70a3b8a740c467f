"""Takes replies, knows what has been acknowledged, says what is sent again."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam
from hdl.stream import Queue

from .config import RoceConfig
from .context import QueuePairState
from .layouts import ActionKind, ActionLayout, CompletionStatus, FailureLayout
from .merge import Merge
from .peer_layouts import ReplyLayout, ReplyStateLayout
from .reply_layouts import (
    ReplyContextLayout,
    ReplyPlaceLayout,
    ReplyRowLayout,
    ReplyTaskKind,
    ReplyTaskLayout,
    RnrStrobe,
    TimeLayout,
)
from .reply_verdict import ReplyVerdict
from .send_copy import SendCopy
from .send_layouts import ReadPlaceLayout, SendStateStrobe, SentKind, SentLayout
from .state_table import StateTable
from .turns import has_room_for, later
from .work_layouts import SendContextLayout

__all__ = ["ReplyProtocol"]

# Actions and kicks that wait: those on their way (5), and the time that it takes to see them.
_WAITING = 16
# Failures that come from tasks on their way while a set-up enters.
_ON_THEIR_WAY = 8


class _ResponseLayout(data.StructLayout):
    """What of an action differs between responses; ``stores`` if it is a WRITE."""

    def __init__(self, config: RoceConfig):
        action = ActionLayout(config)
        names = ("queue_pair", "payload_offset", "payload_bytes", "place", "swapped")
        super().__init__({"stores": 1, **{name: action[name].shape for name in names}})


class ReplyProtocol(wiring.Component):
    """Check each reply against its queue pair; say what has ended, and what is to be sent again.

    A task (a reply, an event of the gatherer, a time that is over, a failure of the passive half)
    enters every second cycle and passes all stages without a stop:

    ==== ======================================================================================
    0    address of context and state; not while the same queue pair has yet to write its own
    2    both in registers; address of the place of its oldest READ or atomic operation
    2..6 :class:`ReplyVerdict`
    7    the new state is written
    8    action, kick, strobes
    ==== ======================================================================================

    With narrow beats the verdict takes 2 cycles more. The four kinds take turns: who waits is
    passed by three others at most, and each of those takes 8 cycles at most, with narrow beats 10.
    A task enters only if there is room for its action and its kick. A set-up enters only if no
    failure waits at ``errors``, so that there is room for those of all queue pairs.
    After reset the table is cleared, a row each cycle; tasks wait as long.

    Rules: docs/roce-requester.md. A reply is dropped unless it comes from the peer of a reliable
    queue pair that is READY, for a PSN that was sent and not acknowledged, and fits. What has
    ``failed`` stays so until it is set up.

    Latency from a task to strobes is 9 or 10 cycles, and 2 more to its kick, 3 to its action; with
    narrow beats 11 or 12. Throughput is a task every 2 cycles, of one queue pair every 8; with
    narrow beats every 10.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7 and 9.9.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    replies : In(stream.Signature(ReplyLayout()))
    sent : In(stream.Signature(SentLayout(config)))
        No SET_UP before the one before it has been taken at ``set_up``.
    times : In(stream.Signature(TimeLayout(config)))
    failures : In(stream.Signature(FailureLayout(config)))
        Queue pairs to move to error.
        ``ready`` of each of these depends combinationally on ``valid`` of the others.
    context : In(SendContextLayout(config))
        Of the queue pair that is set up; it stays from the event SET_UP until Retire is done.
    set_up : Out(stream.Signature(config.bits("queue_pairs")))
        It has been set up here. Registered.
    send_state : In(SendStateStrobe(config))
        As :class:`SendCopy` has it.
    places : In(ReadPlaceLayout(config))
        Strobe, when a READ or atomic operation is sent first, before its packet leaves. Places of
        a queue pair come in order; behind a set-up from row 0 on.
    state : Out(ReplyStateLayout(config))
        Strobe, registered: the row has changed.
    kicks : Out(stream.Signature(config.bits("queue_pairs")))
        Behind each such strobe but that of a set-up. Registered.
    actions : Out(stream.Signature(ActionLayout(config)))
        One for each reply that is no ACKNOWLEDGE, in order. Registered.
    rnr : Out(RnrStrobe(config))
        Strobe, registered, together with ``state``: ``waits`` has become 1.
    errors : Out(stream.Signature(FailureLayout(config)))
        Queue pairs whose passive half is to fail too: reliable ones, but for those of ``failures``.
        Registered. Nothing but a set-up waits for it.
    """

    replies: stream.Interface
    sent: stream.Interface
    times: stream.Interface
    failures: stream.Interface
    context: Any
    set_up: stream.Interface
    send_state: Any
    places: Any
    state: Any
    kicks: stream.Interface
    actions: stream.Interface
    rnr: Any
    errors: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        pair = config.bits("queue_pairs")
        super().__init__(
            {
                "replies": In(stream.Signature(ReplyLayout())),
                "sent": In(stream.Signature(SentLayout(config))),
                "times": In(stream.Signature(TimeLayout(config))),
                "failures": In(stream.Signature(FailureLayout(config))),
                "context": In(SendContextLayout(config)),
                "set_up": Out(stream.Signature(pair)),
                "send_state": In(SendStateStrobe(config)),
                "places": In(ReadPlaceLayout(config)),
                "state": Out(ReplyStateLayout(config)),
                "kicks": Out(stream.Signature(pair)),
                "actions": Out(stream.Signature(ActionLayout(config))),
                "rnr": Out(RnrStrobe(config)),
                "errors": Out(stream.Signature(FailureLayout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pair = unsigned(config.bits("queue_pairs"))
        m.submodules.verdict = verdict = ReplyVerdict(config=config)
        m.submodules.states = states = StateTable(
            shape=ReplyRowLayout(config),
            depth=config.queue_pairs,
            write_cycles=2 + verdict.latency,
            late_cycles=3 + verdict.latency,  # nobody is late
        )
        m.submodules.contexts = contexts = SimpleDualPortRam(
            shape=ReplyContextLayout(),
            depth=config.queue_pairs,
            lane_count=1,
            latency=2,
            bypass=False,
        )
        m.submodules.copies = copies = SendCopy(config=config)
        m.submodules.errors_queue = errors = Queue(
            shape=FailureLayout(config), depth=config.queue_pairs + _ON_THEIR_WAY, counted=True
        )
        is_narrow = config.is_narrow
        m.submodules.actions_queue = actions = Queue(
            shape=_ResponseLayout(config),
            depth=_WAITING,
            block=not is_narrow,
            shallow=is_narrow,
            counted=True,
        )
        m.submodules.kicks_queue = kicks = Queue(
            shape=pair, depth=_WAITING, shallow=True, counted=True
        )
        wiring.connect(m, errors.o, wiring.flipped(self.errors))
        wiring.connect(m, kicks.o, wiring.flipped(self.kicks))
        self._give(m, actions)

        clearing = Signal(init=1)
        cleared = Signal(range(config.queue_pairs))
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(cleared != config.queue_pairs - 1)]
        m.d.comb += [states.clear.eq(clearing), states.cleared.eq(cleared)]

        # 0: who enters.
        merged = self._merge(m, ~errors.o.valid)
        task_0: Any = merged.p
        has_room = Signal()
        m.d.comb += [states.wants.eq(merged.valid & has_room), states.index.eq(task_0.queue_pair)]

        # 1 to 3: what is known of its queue pair.
        phase = Signal()  # in step with that of the table
        entered = Signal()
        valid_2 = Signal()
        task: Any = Signal(ReplyTaskLayout(config), reset_less=True)
        m.d.sync += [phase.eq(~phase), entered.eq(states.turn)]
        m.d.comb += merged.ready.eq(entered)
        with m.If(phase):
            m.d.sync += [task.eq(task_0), valid_2.eq(entered)]
        for table in (contexts, copies):
            m.d.comb += [table.read_en.eq(~phase), table.read_address.eq(task_0.queue_pair)]
        at_2 = Signal()
        sets_up = Signal()
        m.d.comb += [
            at_2.eq(valid_2 & ~phase),
            sets_up.eq(task.kind == ReplyTaskKind.SET_UP),
            copies.send_state.eq(self.send_state),
            copies.set_up.valid.eq(at_2 & sets_up),
            copies.set_up.queue_pair.eq(task.queue_pair),
            copies.set_up.psn.eq(self.context.psn),
        ]
        i: Any = verdict.i
        m.d.comb += [
            i.task.eq(task),
            i.row.eq(states.row),
            i.context.eq(contexts.read_data),
            i.highest.eq(copies.read_data.highest),
        ]
        self._keep_places(m, ~phase, task_0.queue_pair, Cat(states.row.reads[:-1], task.queue_pair))

        # 7, or 9: the state is written.
        writes = later(m, at_2, verdict.latency)
        done: Any = later(m, task, verdict.latency)
        is_set_up = Signal()
        o: Any = verdict.o
        row: Any = Signal(ReplyRowLayout(config))
        known: Any = Signal(ReplyContextLayout())
        context = self.context
        m.d.comb += [
            is_set_up.eq(done.kind == ReplyTaskKind.SET_UP),
            row.eq(o.row),
            states.write.eq(writes),
            states.write_index.eq(done.queue_pair),
            states.write_row.eq(row),
            *(known[name].eq(context[name]) for name, _ in ReplyContextLayout()),
            contexts.write_lanes.eq(writes & is_set_up),
            contexts.write_address.eq(done.queue_pair),
            contexts.write_data.eq(known),
        ]
        with m.If(is_set_up):
            fresh = {
                "ready": context.state == QueuePairState.READY,
                "oldest": context.psn,
                "places": o.row.places,
                "retries": context.retries,
                "rnr_retries": context.rnr_retries,
            }
            m.d.comb += [row[name].eq(fresh.get(name, 0)) for name, _ in ReplyRowLayout(config)]

        # 8, or 10: it is told.
        valid = Signal()
        told: Any = Signal(data.StructLayout({"changes": 1, "begins_wait": 1, "breaks": 1}))
        kind = Signal(ReplyTaskKind)
        m.d.sync += [
            valid.eq(writes),
            kind.eq(done.kind),
            *(told[name].eq(o[name] & writes) for name, _ in told.shape()),
            *(
                self.state[name].eq(row[name])
                for name, _ in ReplyStateLayout(config)
                if name not in ("valid", "queue_pair")
            ),
            self.state.queue_pair.eq(done.queue_pair),
            self.rnr.code.eq(done.reply.syndrome),
        ]
        m.d.comb += [
            self.state.valid.eq(told.changes),
            self.rnr.valid.eq(told.begins_wait),
            self.rnr.queue_pair.eq(self.state.queue_pair),
            errors.i.valid.eq(told.breaks),
            errors.i.p.queue_pair.eq(self.state.queue_pair),
            errors.i.p.status.eq(CompletionStatus.FLUSHED),
            kicks.i.valid.eq(told.changes & (kind != ReplyTaskKind.SET_UP)),
            kicks.i.payload.eq(self.state.queue_pair),
        ]
        with m.If(self.set_up.ready):
            m.d.sync += self.set_up.valid.eq(0)
        with m.If(told.changes & (kind == ReplyTaskKind.SET_UP)):
            m.d.sync += [self.set_up.valid.eq(1), self.set_up.payload.eq(self.state.queue_pair)]
        self._act(m, actions.i, writes, done, o)
        room = [
            has_room_for(m, name, queue, states.turn, valid & ~queue.i.valid)
            for name, queue in (("actions", actions), ("kicks", kicks))
        ]
        m.d.comb += has_room.eq(room[0] & room[1])
        return m

    def _merge(self, m: Module, may_set_up: Value) -> stream.Interface:
        """Tasks, one kind after the other."""
        config = self.config
        m.submodules.merge = merge = Merge(shape=ReplyTaskLayout(config), input_count=4)
        kinds = {
            SentKind.SENT: ReplyTaskKind.SENT,
            SentKind.LOCAL: ReplyTaskKind.LOCAL,
            SentKind.FAILED: ReplyTaskKind.FAILED,
            SentKind.SET_UP: ReplyTaskKind.SET_UP,
        }
        reply, sent, time, failure = (port.p for port in merge.i)
        waits = Signal()  # the set-up, for the one before it
        m.d.comb += waits.eq((self.sent.p.kind == SentKind.SET_UP) & ~may_set_up)
        for port, source in zip(
            merge.i, (self.replies, self.sent, self.times, self.failures), strict=True
        ):
            holds = waits if source is self.sent else C(0)
            m.d.comb += [
                port.valid.eq(source.valid & ~holds),
                source.ready.eq(port.ready & ~holds),
            ]
        m.d.comb += [
            reply.kind.eq(ReplyTaskKind.REPLY),
            reply.queue_pair.eq(self.replies.p.queue_pair),
            reply.reply.eq(self.replies.p),
            sent.queue_pair.eq(self.sent.p.queue_pair),
            sent.reply.psn.eq(self.sent.p.psn),
            sent.first.eq(self.sent.p.first),
            sent.is_local.eq(self.sent.p.is_local),
            sent.status.eq(self.sent.p.status),
            time.kind.eq(
                Mux(self.times.p.is_rnr_end, ReplyTaskKind.RNR_END, ReplyTaskKind.TIMEOUT)
            ),
            time.queue_pair.eq(self.times.p.queue_pair),
            failure.kind.eq(ReplyTaskKind.FAIL),
            failure.queue_pair.eq(self.failures.p.queue_pair),
            failure.status.eq(self.failures.p.status),
        ]
        with m.Switch(self.sent.p.kind):
            for event, kind in kinds.items():
                with m.Case(event):
                    m.d.comb += sent.kind.eq(kind)
        return merge.o

    def _keep_places(self, m: Module, reads: Value, queue_pair: Value, address: Value) -> None:
        """Keep the places of responses, and how many came for each queue pair.

        Nobody sets that count to 0: a queue pair that is set up takes note of it.
        """
        config = self.config
        verdict: Any = m.submodules.verdict
        places: Any = self.places
        counter = config.bits("resources") + 1
        count_ram, counted_ram = (
            SimpleDualPortRam(
                shape=unsigned(counter),
                depth=config.queue_pairs,
                lane_count=1,
                latency=latency,
                bypass=True,
            )
            for latency in (1, 2)
        )
        m.submodules.count = count_ram
        m.submodules.counted = counted_ram
        m.submodules.places_ram = ram = SimpleDualPortRam(
            shape=ReplyPlaceLayout(config),
            depth=config.queue_pairs * config.resources,
            lane_count=1,
            latency=2,
            bypass=False,
        )
        # A place is written before it is counted, and read only behind that.
        written: Any = Signal(ReplyPlaceLayout(config))
        counts = Signal()
        counts_pair = Signal.like(queue_pair)
        m.d.sync += [counts.eq(places.valid), counts_pair.eq(places.queue_pair)]
        m.d.comb += [
            *(written[name].eq(places[name]) for name, _ in ReplyPlaceLayout(config)),
            ram.write_lanes.eq(places.valid),
            ram.write_address.eq(Cat(places.reads, places.queue_pair)),
            ram.write_data.eq(written),
            ram.read_en.eq(reads),
            ram.read_address.eq(address),
            verdict.place.eq(ram.read_data),
            count_ram.read_en.eq(places.valid),
            count_ram.read_address.eq(places.queue_pair),
            counted_ram.read_en.eq(reads),
            counted_ram.read_address.eq(queue_pair),
            verdict.i.places.eq(counted_ram.read_data),
        ]
        for table in (count_ram, counted_ram):
            m.d.comb += [
                table.write_lanes.eq(counts),
                table.write_address.eq(counts_pair),
                table.write_data.eq(count_ram.read_data + 1),
            ]

    def _act(self, m: Module, o: stream.Interface, writes: Value, task: Any, verdict: Any) -> None:
        """Say what becomes of a response's payload."""
        response: Any = Signal(_ResponseLayout(self.config), reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(writes & verdict.has_action),
            response.stores.eq(verdict.stores),
            response.swapped.eq(verdict.stores & verdict.swaps),
            response.queue_pair.eq(task.queue_pair),
            response.payload_offset.eq(task.reply.payload_offset),
            response.payload_bytes.eq(task.reply.payload_bytes),
            response.place.eq(verdict.place),
        ]
        m.d.comb += [o.valid.eq(valid), o.payload.eq(response)]

    def _give(self, m: Module, responses: Queue) -> None:
        """Make actions of what waits."""
        response: Any = responses.o.p
        action: Any = self.actions.p
        m.d.comb += [
            self.actions.valid.eq(responses.o.valid),
            responses.o.ready.eq(self.actions.ready),
            action.kind.eq(Mux(response.stores, ActionKind.WRITE, ActionKind.DROP)),
            action.has_packet.eq(responses.o.valid),
            *(
                action[name].eq(response[name])
                for name in ("queue_pair", "payload_offset", "payload_bytes", "place", "swapped")
            ),
        ]
