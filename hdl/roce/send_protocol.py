"""Turns of queue pairs that want to send: one packet, or a step towards one."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import Queue
from .config import RoceConfig
from .layouts import StrobeLayout
from .peer_layouts import ReplyStateLayout, RetiredLayout
from .send_decide import SendDecide
from .send_find import SendFind
from .send_layouts import GatheredLayout, OutstandingWriteLayout, SendPacketLayout, SendStateStrobe
from .send_packet import SendPacketMaker, SentTurnLayout
from .send_rate import SendRate
from .send_scheduler import TIME_BITS, AskLayout, TurnResultLayout
from .send_state import SendStateLayout
from .state_table import StateTable
from .turn_context import TURN_FIELDS, TurnContextLayout
from .work_layouts import SLOT_BITS, FetchedLayout, FetchLayout, SendContextLayout, WorkHeadLayout

__all__ = ["DoorbellLayout", "SendProtocol"]

# Packets, fetches and kicks that wait; a turn that has begun finds room for one.
_PACKETS = 8
_FETCHES = 8
# Turns that have begun and have given neither, with the registers behind them.
_TURNS = 5


class DoorbellLayout(data.StructLayout):
    """Doorbell: ``slot`` slots were ever posted to the queue pair, modulo 2**16."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue_pair": config.bits("queue_pairs"), "slot": SLOT_BITS})


class SendProtocol(wiring.Component):
    """Give turns to queue pairs, and do in each what may be done.

    ==== ======================================================================================
    0    addresses of all rows; not while the same queue pair has yet to write its own
    2    they are in registers; :class:`SendFind` compares
    3    :class:`SendDecide`: what is done; the new state is written
    4    result to :class:`SendScheduler`; what others are told
    6    packet
    ==== ======================================================================================

    With narrow beats, 3 is 5, and what follows 2 cycles later too.

    A set-up is a turn, too; then a mark passes all blocks behind everything that the queue pair had
    on the way, and until it comes back (``done``) nothing of the queue pair is sent.

    After reset tables are cleared, a row each cycle.

    Latency is 6 cycles from a turn to its packet. Throughput is a turn every 2 cycles, of one queue
    pair every 4; with narrow beats every 6.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7, 10.8.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    contexts : In(stream.Signature({queue_pair, row: SendContextLayout(config)}))
        Set a queue pair up anew; taken when that is done.
    set_up : Out(StrobeLayout(config))
        Strobe: so a queue pair is; ``contexts`` is still there.
    done : In(StrobeLayout(config))
        Strobe: the mark has passed.
    doorbells : In(stream.Signature(DoorbellLayout(config)))
        ``doorbells.ready`` depends combinationally on ``rung.ready``.
    rung : Out(stream.Signature(config.bits("queue_pairs")))
        Whose doorbell it was. Combinational from ``doorbells``.
    ask, turn, result, phase :
        See :class:`SendScheduler`.
    now : In(40)
        Time in 1/256 of a cycle.
    head_en, head_address, head :
        See :class:`WorkFetch`.
    fetches : Out(stream.Signature(FetchLayout(config)))
    fetched, gathered, replies, retired :
        In: strobes of WorkFetch, Gather, ReplyProtocol and Retire.
    is_full : In(1)
        No turn begins.
    sent : Out(SendStateStrobe(config))
        Strobe, registered.
    outstanding : Out(OutstandingWriteLayout(config))
        Strobe, registered, not later than ``sent``.
    flushed : Out(stream.Signature(config.bits("queue_pairs")))
        In whose error a work request has begun, only to end.
    packets : Out(stream.Signature(SendPacketLayout(config)))
    """

    contexts: stream.Interface
    set_up: Any
    done: Any
    doorbells: stream.Interface
    rung: stream.Interface
    ask: Any
    turn: Signal
    result: Any
    phase: Signal
    now: Signal
    head_en: Signal
    head_address: Signal
    head: Any
    fetches: stream.Interface
    fetched: Any
    gathered: Any
    replies: Any
    retired: Any
    is_full: Signal
    sent: Any
    outstanding: Any
    flushed: stream.Interface
    packets: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        queue_pair = config.bits("queue_pairs")
        written = data.StructLayout({"queue_pair": queue_pair, "row": SendContextLayout(config)})
        super().__init__(
            {
                "contexts": In(stream.Signature(written)),
                "set_up": Out(StrobeLayout(config)),
                "done": In(StrobeLayout(config)),
                "doorbells": In(stream.Signature(DoorbellLayout(config))),
                "rung": Out(stream.Signature(queue_pair)),
                "ask": In(AskLayout(config)),
                "turn": Out(1),
                "result": Out(TurnResultLayout(config)),
                "phase": Out(1),
                "now": In(TIME_BITS),
                "head_en": Out(1),
                "head_address": Out(queue_pair + config.bits("send_slots")),
                "head": In(WorkHeadLayout()),
                "fetches": Out(stream.Signature(FetchLayout(config))),
                "fetched": In(FetchedLayout(config)),
                "gathered": In(GatheredLayout(config)),
                "replies": In(ReplyStateLayout(config)),
                "retired": In(RetiredLayout(config)),
                "is_full": In(1),
                "sent": Out(SendStateStrobe(config)),
                "outstanding": Out(OutstandingWriteLayout(config)),
                "flushed": Out(stream.Signature(queue_pair)),
                "packets": Out(stream.Signature(SendPacketLayout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        qp_bits = config.bits("queue_pairs")
        m.submodules.states = states = StateTable(
            shape=SendStateLayout(config),
            depth=config.queue_pairs,
            write_cycles=5 if config.is_narrow else 3,
            late_cycles=6 if config.is_narrow else 4,
        )
        m.submodules.packets = packets = Queue(
            shape=SendPacketLayout(config),
            depth=_PACKETS + _TURNS,
            shallow=True,
            half_rate=config.is_narrow,
        )
        m.submodules.fetches = fetches = Queue(
            shape=FetchLayout(config), depth=_FETCHES + _TURNS, shallow=True
        )
        m.submodules.flushes = flushes = Queue(
            shape=unsigned(qp_bits), depth=_FETCHES + _TURNS, shallow=True
        )
        wiring.connect(m, flushes.o, wiring.flipped(self.flushed))
        wiring.connect(m, packets.o, wiring.flipped(self.packets))
        wiring.connect(m, fetches.o, wiring.flipped(self.fetches))

        # After reset, a row each cycle is cleared.
        clearing = Signal(init=1)
        cleared = Signal(range(config.queue_pairs))
        with m.If(clearing):
            m.d.sync += [
                cleared.eq(cleared + 1),
                clearing.eq(cleared != config.queue_pairs - 1),
            ]
        m.d.comb += [states.clear.eq(clearing), states.cleared.eq(cleared)]
        phase = states.phase
        m.d.comb += self.phase.eq(phase)

        # 0: who has the turn. A set-up goes first: there is one at a time.
        setting_up = Signal()
        wants_set_up = Signal()
        setter = self.contexts.p.queue_pair
        has_room = Signal()
        taken: Any = Signal(
            data.StructLayout(
                {"valid": 1, "is_set_up": 1, "queue_pair": qp_bits, "hint": 8, "server": 1}
            )
        )
        m.d.sync += has_room.eq(
            self._has_room(m, "packet", packets, _PACKETS)
            & self._has_room(m, "fetch", fetches, _FETCHES)
            & self._has_room(m, "flush", flushes, _FETCHES)
            & ~self.is_full
        )
        m.d.comb += [
            wants_set_up.eq(self.contexts.valid & ~setting_up),
            states.wants.eq((wants_set_up | self.ask.valid) & has_room),
            states.index.eq(Mux(wants_set_up, setter, self.ask.queue_pair)),
            states.late.eq(0),
            self.turn.eq(states.turn & ~wants_set_up),
            self.contexts.ready.eq(setting_up & self.done.valid),
        ]
        with m.If(states.turn & wants_set_up):
            m.d.sync += setting_up.eq(1)
        with m.Elif(self.done.valid):
            m.d.sync += setting_up.eq(0)
        with m.If(~phase):
            m.d.sync += [
                taken.valid.eq(states.turn),
                taken.is_set_up.eq(wants_set_up),
                taken.queue_pair.eq(states.index),
                taken.hint.eq(self.ask.hint),
                taken.server.eq(self.ask.server),
            ]

        # 2: all rows are here, and stay for two cycles.
        at_2: Any = Signal.like(taken)
        with m.If(phase):
            m.d.sync += at_2.eq(taken)
        m.submodules.find = find = SendFind(config=config)
        m.submodules.rate = rate = SendRate(config=config)
        rows = self._tables(m, ~phase, states.index, clearing, cleared)
        for name, row in rows.items():
            m.d.comb += getattr(find, name).eq(row)
        m.d.comb += [
            self.head_en.eq(~phase),
            self.head_address.eq(Cat(self.ask.hint, states.index)),
            find.state.eq(states.row),
            find.head.eq(self.head),
            find.hint.eq(at_2.hint),
            find.now.eq(self.now),
            find.time.eq(rate.time),
            rate.now.eq(self.now),
            rate.read_en.eq(~phase),
            rate.queue_pair.eq(states.index),
            rate.set_up.eq(self.set_up),
            rate.context.eq(self.contexts.p.row),
        ]
        # Until when who is ahead of its time has to wait.
        wait = Signal(TIME_BITS, reset_less=True)
        waits = [rate.time, wait]
        if config.is_narrow:
            waits.insert(1, Signal(TIME_BITS, name="wait_3", reset_less=True))
        for before, after in pairwise(waits):
            with m.If(phase):
                m.d.sync += after.eq(before)
        self._wait = wait
        turn = self._compared(m, phase, at_2, find, rows)

        # 3: what is done.
        m.submodules.decide = decide = SendDecide(config=config)
        works = Signal()
        now: Any = turn["about"]
        context: Any = Signal(TurnContextLayout(config))
        fresh: Any = self.contexts.p.row
        is_held = Signal()
        m.d.comb += [
            works.eq(now.valid & phase),
            is_held.eq(setting_up & (now.queue_pair == setter)),
            *(
                context[name].eq(Mux(now.is_set_up, fresh[name], turn["context"][name]))
                for name in TURN_FIELDS
            ),
            decide.is_set_up.eq(now.is_set_up),
            decide.is_held.eq(is_held),
            decide.state.eq(turn["state"]),
            decide.context.eq(context),
            decide.head.eq(turn["head"]),
            decide.replies.eq(turn["replies"]),
            decide.retired.eq(turn["retired"]),
            decide.found.eq(turn["found"]),
        ]
        step: Any = decide.o
        m.d.comb += [
            states.write.eq(now.valid),
            states.write_index.eq(now.queue_pair),
            states.write_row.eq(step.state),
            self._contexts.write_lanes.eq(works & now.is_set_up),
            self._contexts.write_address.eq(now.queue_pair),
            self._contexts.write_data.eq(context),
        ]
        # A ring begins at 0.
        is_free = ~clearing & ~(works & now.is_set_up)
        producers: Any = self._producers
        m.d.comb += [
            self.doorbells.ready.eq(is_free & self.rung.ready),
            self.rung.valid.eq(is_free & self.doorbells.valid),
            self.rung.payload.eq(self.doorbells.p.queue_pair),
            producers.write_lanes.eq(~is_free | self.doorbells.valid),
            producers.write_address.eq(
                Mux(
                    clearing,
                    cleared,
                    Mux(is_free, self.doorbells.p.queue_pair, now.queue_pair),
                )
            ),
            producers.write_data.eq(Mux(is_free, self.doorbells.p.slot, 0)),
        ]
        self._tell(m, works, is_held, turn, context, step, packets, fetches, flushes, rate)
        return m

    def _has_room(self, m: Module, name: str, queue: Queue, most: int) -> Value:
        """Whether ``queue`` has no more than ``most`` payloads."""
        held = Signal(range(queue.capacity + 1), name=f"{name}s_held")
        comes = queue.i.valid & queue.i.ready
        goes = queue.o.valid & queue.o.ready
        m.d.sync += held.eq(held + comes - goes)
        return held <= most

    def _tables(
        self, m: Module, read: Value, index: Value, clearing: Value, cleared: Value
    ) -> dict[str, Any]:
        """Rows of all tables, 2 cycles behind ``index``."""
        config = self.config

        def table(name: str, shape: Any, *, bypass: bool = True) -> Any:
            ram = SimpleDualPortRam(
                shape=shape, depth=config.queue_pairs, lane_count=1, latency=2, bypass=bypass
            )
            m.submodules[name] = ram
            m.d.comb += [ram.read_en.eq(read), ram.read_address.eq(index)]
            return ram

        rows = {}
        for name, strobe, value in (
            ("replies", self.replies, self.replies),
            ("retired", self.retired, self.retired.position),
            ("fetched", self.fetched, self.fetched),
            ("gathered", self.gathered, self.gathered),
        ):
            ram = table(f"{name}_rows", value.shape())
            m.d.comb += [
                ram.write_lanes.eq(strobe.valid | clearing),
                ram.write_address.eq(Mux(clearing, cleared, strobe.queue_pair)),
                ram.write_data.eq(Mux(clearing, 0, value)),
            ]
            rows[name] = ram.read_data
        self._contexts = table("contexts_rows", TurnContextLayout(config), bypass=False)
        self._producers = table("producers", unsigned(SLOT_BITS))
        rows["context"] = self._contexts.read_data
        rows["producer"] = self._producers.read_data
        return rows

    def _compared(
        self, m: Module, phase: Value, at_2: Any, find: SendFind, rows: dict[str, Any]
    ) -> dict[str, Any]:
        """Hold what is compared, and the rows beside it: for 2 cycles from 3 on, or from 4 on."""
        turn = {
            "about": at_2,
            "found": find.o,
            "state": find.state,
            "head": self.head,
            **{name: rows[name] for name in ("context", "replies", "retired")},
        }
        is_narrow = self.config.is_narrow
        for name, value in turn.items():
            # With wide beats the rows are still there.
            if is_narrow or name == "found":
                held = Signal(value.shape(), name=f"turn_{name}", reset_less=name != "about")
                with m.If(phase if is_narrow else ~phase):
                    m.d.sync += held.eq(value)
                turn[name] = held
        return turn

    def _tell(
        self,
        m: Module,
        works: Value,
        is_held: Value,
        turn: dict[str, Any],
        context: Any,
        step: Any,
        packets: Queue,
        fetches: Queue,
        flushes: Queue,
        rate: SendRate,
    ) -> None:
        """4: what others are told; the packet is made from here on."""
        config = self.config
        now, state, found = turn["about"], turn["state"], turn["found"]
        m.submodules.maker = maker = SendPacketMaker(config=config)
        result: Any = Signal(TurnResultLayout(config))
        gone: Any = Signal(SentTurnLayout(config))
        fetch: Any = Signal(FetchLayout(config), reset_less=True)
        fetches_now = Signal()
        flushes_now = Signal()
        tail: Any = step.state.begun
        m.d.sync += [
            result.valid.eq(works & ~now.is_set_up),
            result.queue_pair.eq(now.queue_pair),
            result.hint.eq(step.state.cursor.slot),
            result.server.eq(now.server),
            result.kind.eq(step.kind),
            self.set_up.valid.eq(works & now.is_set_up),
            self.set_up.queue_pair.eq(now.queue_pair),
            # Of a queue pair that is set up, others know what there is until that is done.
            self.sent.valid.eq(works & ~now.is_set_up & ~is_held),
            self.sent.queue_pair.eq(now.queue_pair),
            self.sent.highest.eq(step.state.highest),
            self.sent.tail.eq(tail.sequence),
            self.outstanding.valid.eq(works & step.begins),
            self.outstanding.queue_pair.eq(now.queue_pair),
            self.outstanding.sequence.eq(state.cursor.sequence),
            self.outstanding.row.end.eq(step.after),
            self.outstanding.row.slot.eq(state.cursor.slot),
            self.outstanding.row.kind.eq(turn["head"].kind),
            self.outstanding.row.is_local.eq(step.is_local),
            self.outstanding.row.signalled.eq(turn["head"].signalled),
            self.outstanding.row.length.eq(turn["head"].length),
            flushes_now.eq(works & step.begins & step.is_local & ~step.sends),
            fetches_now.eq(works & step.fetches & found.fetch.any()),
            fetch.queue_pair.eq(now.queue_pair),
            fetch.epoch.eq(state.epoch),
            fetch.slot.eq(state.fetched),
            fetch.count.eq(found.fetch),
            gone.is_set_up.eq(now.is_set_up),
            gone.queue_pair.eq(now.queue_pair),
            gone.state.eq(state),
            gone.context.eq(context),
            gone.head.eq(turn["head"]),
            gone.found.eq(found),
            gone.sends.eq(works & step.sends),
            *(gone[name].eq(step[name]) for name in ("is_local", "begins", "last", "asks")),
        ]
        is_packet = gone.sends & ~gone.is_set_up & ~gone.is_local
        m.d.comb += [
            fetches.i.valid.eq(fetches_now),
            fetches.i.payload.eq(fetch),
            flushes.i.valid.eq(flushes_now),
            flushes.i.payload.eq(gone.queue_pair),
            maker.i.eq(gone),
            packets.i.valid.eq(maker.valid),
            packets.i.payload.eq(maker.o),
            self.result.eq(result),
            self.result.bytes.eq(maker.size),
            # Times are read a cycle before they are looked at: a charge is there by then.
            self.result.time.eq(self._wait),
            rate.charge.eq(is_packet),
            rate.charged.eq(gone.queue_pair),
            rate.size.eq(maker.size),
        ]
