"""Ends work requests, in order."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam
from hdl.stream import Queue

from .config import RoceConfig
from .kick_ring import KickRing
from .layouts import ActionLayout, CompletionStatus, StrobeLayout
from .peer_layouts import ReplyStateLayout, RetiredLayout
from .retire_layouts import (
    RetireEndLayout,
    RetireRowLayout,
    RetireStepLayout,
    RetireToldLayout,
    RetireTurnLayout,
    RetireVerdictLayout,
)
from .send_copy import SendCopy
from .send_layouts import OutstandingLayout, OutstandingWriteLayout, SendStateStrobe
from .state_table import StateTable
from .turn_servers import TurnServers
from .turns import has_room_for, later
from .work_layouts import SendContextLayout

__all__ = ["Retire"]

# Actions and kicks that wait: those on their way (4), and the time that it takes to see them.
_WAITING = 16


#: Of so many work requests that end behind each other, one is told.
_KICK_BITS = 3


class Retire(wiring.Component):
    """Complete work requests in order, as replies and events end them.

    Who is kicked is in a ring once (:class:`KickRing`), and has a turn in which its oldest work
    request is looked at. If that ends, and more may have, it has another one:

    ==== ======================================================================================
    0    address of its row, of what is known of sending and replies, and of the work request
    2    all of that in registers; PSNs are compared; with narrow beats 3
    3    decision; the row is written; with narrow beats 4 and 5
    4    its position is told, and an action and a kick are given; with narrow beats 6
    ==== ======================================================================================

    Which work request is the oldest is known from its last turn; if that was wrong, the turn only
    finds the right one.

    A work request ends when ``oldest`` has passed its last PSN, a local one when ``locals`` says
    so. While the queue pair is in error, the first one that has not ended so gets the status of the
    failure, and all behind it are flushed; local ones have not ended then. A completion is given if
    it is signalled, or fails; ``retired`` has been told before.

    What a completion has: its queue pair's number, its first slot (``value``), its kind
    (``source_queue_pair``), its bytes if it is a success.

    Latency from a kick to ``retired`` is 8 or 9 cycles, with narrow beats 2 more, and from there
    3 to an action or 2 to a kick. Throughput is a turn every 2 cycles, of one queue pair every 4,
    with narrow beats every 4, and every 8.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 10.8.5, 11.4.2.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    outstanding : In(OutstandingWriteLayout(config))
        Strobe, not later than ``send_state`` tells of it.
    send_state : In(SendStateStrobe(config))
        As :class:`SendCopy` has it.
    state : In(ReplyStateLayout(config))
        Strobe; before the kick for it.
    kicks : In(stream.Signature(config.bits("queue_pairs")))
        Queue pairs of which something may have ended, any number of times. ``ready`` waits for no
        output.
    set_up : In(stream.Signature(config.bits("queue_pairs")))
        Begin anew. No other one before ``done``.
    context : In(SendContextLayout(config))
        That of ``set_up``; it stays until ``done``.
    done : Out(StrobeLayout(config))
        Strobe, registered: ``set_up`` is through.
    retired : Out(RetiredLayout(config))
        Strobe, registered.
    actions : Out(stream.Signature(ActionLayout(config)))
        Completions, without packets. Registered.
    kicks_out : Out(stream.Signature(config.bits("queue_pairs")))
        Queue pairs whose position moved: by 8 work requests, or for the last time for now.
        Registered.
    """

    outstanding: Any
    send_state: Any
    state: Any
    kicks: stream.Interface
    set_up: stream.Interface
    context: Any
    done: Any
    retired: Any
    actions: stream.Interface
    kicks_out: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        pair = config.bits("queue_pairs")
        super().__init__(
            {
                "outstanding": In(OutstandingWriteLayout(config)),
                "send_state": In(SendStateStrobe(config)),
                "state": In(ReplyStateLayout(config)),
                "kicks": In(stream.Signature(pair)),
                "set_up": In(stream.Signature(pair)),
                "context": In(SendContextLayout(config)),
                "done": Out(StrobeLayout(config)),
                "retired": Out(RetiredLayout(config)),
                "actions": Out(stream.Signature(ActionLayout(config))),
                "kicks_out": Out(stream.Signature(pair)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pair = unsigned(config.bits("queue_pairs"))
        write_cycles = 5 if config.is_narrow else 3
        m.submodules.rows = rows = StateTable(
            shape=RetireRowLayout(config),
            depth=config.queue_pairs,
            write_cycles=write_cycles,
            late_cycles=write_cycles + 1,  # nobody is late
        )
        m.submodules.ring = ring = KickRing(config=config)
        m.submodules.actions_queue = actions = Queue(
            shape=RetireEndLayout(config),
            depth=_WAITING,
            block=not config.is_narrow,
            shallow=config.is_narrow,
            counted=True,
        )
        m.submodules.kicks_queue = kicks = Queue(
            shape=pair, depth=_WAITING, shallow=True, counted=True
        )
        wiring.connect(m, wiring.flipped(self.kicks), ring.kicks)
        self._give(m, actions)
        wiring.connect(m, kicks.o, wiring.flipped(self.kicks_out))

        clearing = Signal(init=1)
        cleared = Signal(range(config.queue_pairs))
        with m.If(clearing):
            m.d.sync += [cleared.eq(cleared + 1), clearing.eq(cleared != config.queue_pairs - 1)]
        m.d.comb += [rows.clear.eq(clearing), rows.cleared.eq(cleared)]

        # 0: whose turn it is; a set-up goes first.
        sets_up = Signal()
        is_setting_up = Signal()  # it has had its turn
        has_room = Signal()
        index = Signal(pair)
        sequence = unsigned(config.send_requests.bit_length())
        m.submodules.servers = servers = TurnServers(
            config=config, fields=data.StructLayout({"sequence": sequence, "owes": 1})
        )
        m.submodules.hints = hints = SimpleDualPortRam(
            shape=sequence, depth=config.queue_pairs, lane_count=1, latency=1, bypass=True
        )
        ask: Any = servers.ask
        m.d.comb += [
            servers.wants.eq(ring.wants),
            servers.queue_pair.eq(ring.queue_pair),
            ring.turn.eq(servers.takes),
            hints.read_en.eq(1),
            hints.read_address.eq(ring.queue_pair),
            servers.loaded.sequence.eq(hints.read_data),
            servers.loaded.owes.eq(0),
            servers.may.eq(1),
            servers.turn.eq(rows.turn & ~sets_up),
            sets_up.eq(self.set_up.valid & ~is_setting_up),
            index.eq(Mux(sets_up, self.set_up.payload, ask.queue_pair)),
            rows.wants.eq((sets_up | ask.valid) & has_room),
            rows.index.eq(index),
            self.set_up.ready.eq(self.done.valid),
        ]
        with m.If(self.done.valid):
            m.d.sync += is_setting_up.eq(0)
        with m.Elif(rows.turn & sets_up):
            m.d.sync += is_setting_up.eq(1)

        # 1 to 3: what is known of it.
        phase = Signal()  # in step with that of the table
        m.d.sync += phase.eq(~phase)
        turn_1: Any = Signal(RetireTurnLayout(config))
        turn_2: Any = Signal(turn_1.shape())
        m.d.sync += [
            turn_1.eq(Cat(rows.turn, index, sets_up, ask.server, ask.fields.sequence)),
            turn_2.eq(turn_1),
        ]
        m.submodules.copies = copies = SendCopy(config=config)
        m.submodules.states = states = SimpleDualPortRam(
            shape=ReplyStateLayout(config),
            depth=config.queue_pairs,
            lane_count=1,
            latency=2,
            bypass=True,
        )
        for table in (copies, states):
            m.d.comb += [table.read_en.eq(~phase), table.read_address.eq(index)]
        m.submodules.outstanding_ram = ram = SimpleDualPortRam(
            shape=OutstandingLayout(config),
            depth=config.queue_pairs * config.send_requests,
            lane_count=1,
            latency=2,
            # A tail that is known in the cycle in which it comes has its row in the same.
            bypass=True,
        )
        row: Any = rows.row
        m.d.comb += [
            copies.send_state.eq(self.send_state),
            copies.set_up.valid.eq(turn_2.valid & turn_2.sets_up),
            copies.set_up.queue_pair.eq(turn_2.queue_pair),
            copies.set_up.psn.eq(self.context.psn),
            states.write_lanes.eq(self.state.valid),
            states.write_address.eq(self.state.queue_pair),
            states.write_data.eq(self.state),
            ram.write_lanes.eq(self.outstanding.valid),
            ram.write_address.eq(Cat(self.outstanding.sequence, self.outstanding.queue_pair)),
            ram.write_data.eq(self.outstanding.row),
            ram.read_en.eq(~phase),
            ram.read_address.eq(Cat(ask.fields.sequence[:-1], ask.queue_pair)),
        ]

        # 2, or 3: is there a work request, and has it ended?
        turn: Any = turn_2
        kept: Any = row
        tail: Any = copies.read_data.tail
        replies: Any = states.read_data
        if config.is_narrow:
            turn, kept, tail, replies = (later(m, v, 1) for v in (turn, row, tail, replies))
        entry: Any = later(m, ram.read_data, 1) if config.is_narrow else ram.read_data
        ahead = (replies.oldest - entry.end.psn)[:24]
        verdict: Any = Signal(
            RetireVerdictLayout(config),
            reset_less=True,
        )
        m.d.sync += [
            verdict.row.eq(kept),
            verdict.entry.eq(entry),
            verdict.is_there.eq(kept.position.sequence != tail),
            verdict.is_past.eq(~ahead[-1]),
            verdict.is_done.eq(kept.locals != replies.locals),
            verdict.is_last.eq(entry.end.sequence == tail),
            verdict.is_exact.eq(~ahead.any()),
            verdict.guessed.eq(kept.position.sequence == turn.sequence),
            verdict.failed.eq(replies.failed),
            verdict.status.eq(replies.status),
        ]
        self._end(m, later(m, turn, 1), verdict, has_room)
        return m

    def _end(self, m: Module, turn: Any, verdict: Any, has_room: Signal) -> None:
        """End the work request, or set the queue pair up."""
        config = self.config
        blocks: Any = m.submodules
        rows, servers, hints = blocks.rows, blocks.servers, blocks.hints
        actions, kicks = blocks.actions_queue, blocks.kicks_queue
        entry, before = verdict.entry, verdict.row
        context = self.context

        # 3, or 4: the decision.
        fails = Signal()
        ends = Signal()
        status = Signal(CompletionStatus)
        succeeds = Mux(
            entry.is_local,
            verdict.is_done & ~verdict.failed,
            verdict.is_past & ~before.flushes,
        )
        m.d.comb += [
            fails.eq(verdict.failed & ~succeeds),
            ends.eq(
                turn.valid
                & ~turn.sets_up
                & verdict.guessed
                & verdict.is_there
                & (succeeds | verdict.failed)
            ),
        ]
        with m.If(before.flushes):
            m.d.comb += status.eq(CompletionStatus.FLUSHED)
        with m.Elif(fails):
            m.d.comb += status.eq(verdict.status)
        decided: Any = Signal(RetireStepLayout(config))
        m.d.comb += [
            decided.turn.eq(turn),
            decided.row.eq(before),
            decided.entry.eq(entry),
            decided.ends.eq(ends),
            # Nothing more has ended if replies have come exactly so far.
            decided.goes_on.eq(
                ~verdict.guessed
                | (ends & ~verdict.is_last & (verdict.failed | verdict.is_done | ~verdict.is_exact))
            ),
            decided.completes.eq(ends & (entry.signalled | fails)),
            decided.counts.eq(entry.is_local & ~fails),
            decided.fails.eq(fails),
            decided.status.eq(status),
        ]
        if config.is_narrow:
            decided = later(m, decided, 1)

        # 3, or 5: the row.
        row: Any = Signal(RetireRowLayout(config))
        at, entry = decided.turn, decided.entry
        writes = Signal()
        m.d.comb += [
            row.eq(decided.row),
            row.position.eq(entry.end),
            row.locals.eq(decided.row.locals + decided.counts),
            row.flushes.eq(decided.row.flushes | decided.fails),
            writes.eq(decided.ends | (at.valid & at.sets_up)),
            rows.write.eq(writes),
            rows.write_index.eq(at.queue_pair),
            rows.write_row.eq(row),
        ]
        with m.If(at.sets_up):
            m.d.comb += [
                row.eq(0),
                row.position.psn.eq(context.psn),
                row.number.eq(context.number),
                row.completion_queue.eq(context.completion_queue),
            ]

        # 4, or 6: it is told.
        end: Any = Signal(RetireEndLayout(config), reset_less=True)
        told: Any = Signal(RetireToldLayout(config))
        m.d.sync += [
            told.turn.eq(at.valid),
            told.ends.eq(decided.ends),
            told.completes.eq(decided.completes),
            told.sets_up.eq(at.valid & at.sets_up),
            told.server.eq(at.server),
            told.goes_on.eq(decided.goes_on),
            told.sequence.eq(Mux(writes, row.position.sequence, decided.row.position.sequence)),
            self.retired.valid.eq(writes),
            self.retired.queue_pair.eq(at.queue_pair),
            self.retired.position.eq(row.position),
            end.owner.eq(at.queue_pair),
            end.queue.eq(row.completion_queue),
            end.queue_pair.eq(row.number),
            end.status.eq(decided.status),
            end.byte_length.eq(Mux(decided.status == CompletionStatus.SUCCESS, entry.length, 0)),
            end.slot.eq(entry.slot),
            end.kind.eq(entry.kind),
        ]
        pair = self.retired.queue_pair
        owes = Signal()  # something has ended of which nobody was told
        m.d.comb += [
            servers.updated.owes.eq(owes & ~kicks.i.valid),
            self.done.valid.eq(told.sets_up),
            self.done.queue_pair.eq(pair),
            actions.i.valid.eq(told.completes),
            actions.i.payload.eq(end),
            owes.eq(told.ends | (servers.served.owes & told.turn & ~told.sets_up)),
            kicks.i.valid.eq(
                owes & (~told.goes_on | (told.ends & ~told.sequence[:_KICK_BITS].any()))
            ),
            kicks.i.payload.eq(pair),
            servers.ended.valid.eq(told.turn & ~told.sets_up),
            servers.ended.server.eq(told.server),
            servers.ended.stays.eq(told.goes_on),
            servers.updated.sequence.eq(told.sequence),
            hints.write_lanes.eq(told.turn),
            hints.write_address.eq(pair),
            hints.write_data.eq(told.sequence),
        ]
        room = [
            has_room_for(m, name, queue, rows.turn, told.turn & ~queue.i.valid)
            for name, queue in (("actions", actions), ("kicks", kicks))
        ]
        m.d.comb += has_room.eq(room[0] & room[1])

    def _give(self, m: Module, ends: Queue) -> None:
        """Make actions of what waits."""
        end: Any = ends.o.p
        action: Any = self.actions.p
        completion = action.completion
        m.d.comb += [
            self.actions.valid.eq(ends.o.valid),
            ends.o.ready.eq(self.actions.ready),
            action.queue_pair.eq(end.owner),
            completion.valid.eq(ends.o.valid),
            completion.is_send.eq(ends.o.valid),
            *(
                completion[name].eq(end[name])
                for name in ("queue", "queue_pair", "status", "byte_length")
            ),
            completion.value.eq(end.slot),
            completion.source_queue_pair.eq(end.kind),
        ]
