"""Who enters the protocol's stages next."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .task import TaskKind

__all__ = ["Entrance"]


class Entrance(wiring.Component):
    """Choose between packets and tasks from inside, and let one in when its queue pair is free.

    Packets and the others go in turns where both wait; of the others, failures go before set-ups
    and these before flushes: each queue pair fails once, and is flushed as often as it has receive
    requests. So whoever waits is passed by the other kind once at most. A set-up is alone: the next
    one enters when it is done. As many may be inside as there are places for their actions.

    Latency is 0 cycles from an ask to ``wants``; with narrow beats 1, for there the choice is
    registered. Throughput is a task every 2 cycles, which is as often as there is a ``turn``; with
    narrow beats, others than packets every 4.

    Specification: docs/roce.md.

    Parameters
    ----------
    config : RoceConfig
    room : int
        Places for actions.

    Members
    -------
    asks : In({valid, queue_pair}).array(4)
        Who wants to enter, by :class:`TaskKind`; each stays until it is taken.
    packet_is_slow : In(1)
        The packet may take a receive request.
    taken : Out(4)
        Strobe for each :class:`TaskKind`, together with ``entered``.
    set_up_done : In(1)
        Strobe: the set-up has ended, and its ask is another one from the next cycle on.
    wants, index, late : Out(1), Out(config.bits("queue_pairs")), Out(1)
        As :class:`StateTable` has them.
    turn : In(1)
        It enters. Two turns are 2 cycles apart at least.
    entered, kind, queue_pair : Out(1), Out(TaskKind), Out(config.bits("queue_pairs"))
        A cycle later. Registered.
    left : In(1)
        Strobe: an action gave its place back.
    """

    asks: list[Any]
    packet_is_slow: Signal
    taken: Signal
    set_up_done: Signal
    wants: Signal
    index: Signal
    late: Signal
    turn: Signal
    entered: Signal
    kind: Any
    queue_pair: Signal
    left: Signal

    def __init__(self, *, config: RoceConfig, room: int):
        self.config = config
        pair = config.bits("queue_pairs")
        super().__init__(
            {
                "asks": In(data.StructLayout({"valid": 1, "queue_pair": pair})).array(4),
                "packet_is_slow": In(1),
                "taken": Out(4),
                "set_up_done": In(1),
                "wants": Out(1),
                "index": Out(pair),
                "late": Out(1),
                "turn": In(1),
                "entered": Out(1),
                "kind": Out(TaskKind),
                "queue_pair": Out(pair),
                "left": In(1),
            }
        )
        # State; the proof looks at it.
        self.setting_up = Signal()
        self.packets_turn = Signal()
        self.room = Signal(range(room + 1), init=room)

    def elaborate(self, platform):
        m = Module()
        is_narrow = self.config.is_narrow

        # A set-up that has entered still asks until it is done. Where the choice is made a cycle
        # before, so do the others, in the cycle in which they are taken.
        waits = Signal(4)
        m.d.comb += waits.eq(Cat(ask.valid for ask in self.asks))
        with m.If(self.setting_up):
            m.d.comb += waits[TaskKind.SET_UP.value].eq(0)
        if is_narrow:
            with m.If(self.entered):
                m.d.comb += waits.bit_select(self.kind, 1).eq(0)
        with m.If(self.set_up_done):
            m.d.sync += self.setting_up.eq(0)
        with m.If(self.taken[TaskKind.SET_UP.value]):
            m.d.sync += self.setting_up.eq(1)

        choice: Any = Signal(
            data.StructLayout(
                {"kind": TaskKind, "queue_pair": self.index.shape(), "late": 1, "valid": 1}
            )
        )
        waits_packet = waits[TaskKind.PACKET.value]
        first = (TaskKind.FAIL, TaskKind.SET_UP, TaskKind.FLUSH)
        others = Cat(waits[kind.value] for kind in first).any()
        m.d.comb += [
            choice.valid.eq(waits.any()),
            choice.kind.eq(TaskKind.PACKET),
            choice.queue_pair.eq(self.asks[TaskKind.PACKET.value].queue_pair),
            choice.late.eq(self.packet_is_slow),
        ]
        with m.If(others & ~(self.packets_turn & waits_packet)):
            m.d.comb += choice.late.eq(1)
            for kind in reversed(first):
                with m.If(waits[kind.value]):
                    m.d.comb += [
                        choice.kind.eq(kind),
                        choice.queue_pair.eq(self.asks[kind.value].queue_pair),
                    ]

        chosen: Any = Signal.like(choice)
        m.d["sync" if is_narrow else "comb"] += chosen.eq(choice)

        has_room = Signal(init=1)
        m.d.comb += [
            self.wants.eq(chosen.valid & has_room),
            self.index.eq(chosen.queue_pair),
            self.late.eq(chosen.late),
        ]
        # Nobody enters in two cycles that follow each other: so who has a turn is counted, and this
        # comes, a cycle late.
        m.d.sync += [
            self.room.eq(self.room + self.left - self.entered),
            has_room.eq(self.room > self.entered),
        ]
        with m.If(self.turn):
            m.d.sync += self.packets_turn.eq(chosen.kind != TaskKind.PACKET)

        m.d.sync += [
            self.entered.eq(self.turn),
            self.kind.eq(chosen.kind),
            self.queue_pair.eq(chosen.queue_pair),
        ]
        m.d.comb += self.taken.eq(Mux(self.entered, 1 << self.kind, 0))
        return m
