"""Proof of hdl.roce.Entrance: who enters asked to, in turns, one set-up at a time."""

from dataclasses import replace
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.entrance import Entrance
from hdl.roce.task import TaskKind
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]

_NARROW = least()
_WIDE = replace(_NARROW, data_bytes=32)
_ROOM = 2
_KINDS = {kind: kind.value for kind in TaskKind}


class _Turns(wiring.Component):
    """Anybody asks at any time, and stays until taken; turns come whenever they may."""

    valid: Signal
    queue_pairs: Any
    packet_is_slow: Signal
    gives_turn: Signal
    done: Signal
    left: Signal

    def __init__(self, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "valid": In(4),
                "queue_pairs": In(data.ArrayLayout(config.bits("queue_pairs"), 4)),
                "packet_is_slow": In(1),
                "gives_turn": In(1),
                "done": In(1),
                "left": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.entrance = entrance = Entrance(config=self.config, room=_ROOM)
        recent = Signal()
        turn = Signal()
        m.d.sync += recent.eq(turn)
        m.d.comb += [
            turn.eq(entrance.wants & self.gives_turn & ~recent),
            entrance.turn.eq(turn),
            entrance.packet_is_slow.eq(self.packet_is_slow),
            entrance.set_up_done.eq(self.done),
            entrance.left.eq(self.left),
        ]
        for n, ask in enumerate(entrance.asks):
            m.d.comb += [ask.valid.eq(self.valid[n]), ask.queue_pair.eq(self.queue_pairs[n])]

        # Asks stay until they are taken, a set-up's until it is done.
        set_up = _KINDS[TaskKind.SET_UP]
        ends = Signal(4)
        m.d.comb += [ends.eq(entrance.taken), ends[set_up].eq(self.done)]
        asked = Signal(4)
        old_pairs: Any = Signal(self.queue_pairs.shape())
        old_slow = Signal()
        m.d.sync += [
            asked.eq(self.valid & ~ends),
            old_pairs.eq(self.queue_pairs),
            old_slow.eq(self.packet_is_slow),
        ]
        stays: list[Any] = [
            self.valid[n] & (self.queue_pairs[n] == old_pairs[n]) for n in range(len(asked))
        ]
        stays[_KINDS[TaskKind.PACKET]] &= self.packet_is_slow == old_slow
        is_set_up = Signal()
        inside = Signal(range(_ROOM + 1))
        m.d.sync += [
            is_set_up.eq((is_set_up | entrance.taken[set_up]) & ~self.done),
            inside.eq(inside + turn - self.left),
        ]
        m.d.comb += [
            *(Assume(~asked[n] | stays[n], "asks stay") for n in range(len(asked))),
            Assume(~self.done | is_set_up, "no set-up to end"),
            Assume(~self.left | (inside != 0), "nobody to leave"),
        ]

        # Who entered, as its ask said in the cycle of its turn; turns of others meanwhile.
        pair = Signal.like(entrance.queue_pair)
        is_slow = Signal()
        old_turn = Signal()
        old_asked = Signal(4)
        m.d.sync += [
            pair.eq(entrance.index),
            is_slow.eq(entrance.late),
            old_turn.eq(turn),
            old_asked.eq(self.valid),
        ]
        packet = _KINDS[TaskKind.PACKET]
        takes_packet = entrance.taken[packet]
        takes_other = entrance.taken.any() & ~takes_packet
        passed = Signal(2)  # by those that are no packet, since it asks
        others_passed = Signal(2)  # by packets, since one asks that may enter
        waits = [self.valid[packet], self.valid[_KINDS[TaskKind.FAIL]]]
        for count, waiting, own, other in (
            (passed, waits[0], takes_packet, takes_other),
            (others_passed, waits[1], takes_other, takes_packet),
        ):
            with m.If(~waiting | own):
                m.d.sync += count.eq(0)
            with m.Elif(other):
                m.d.sync += count.eq(count + 1)

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(entrance.entered == old_turn, "a cycle later"),
                Assert(entrance.taken.any() == entrance.entered, "somebody enters"),
                Assert(
                    ~entrance.entered | (entrance.taken == (1 << entrance.kind)[:4]),
                    "one of them",
                ),
                Assert((entrance.taken & ~old_asked) == 0, "it asked"),
                Assert((entrance.taken & ~self.valid) == 0, "and still does"),
                Assert(
                    ~entrance.entered
                    | (
                        (entrance.queue_pair == pair)
                        & (entrance.queue_pair == self.queue_pairs[entrance.kind])
                    ),
                    "with its queue pair",
                ),
                Assert(
                    ~entrance.entered
                    | (is_slow == (self.packet_is_slow | ~entrance.taken[packet])),
                    "and its time",
                ),
                Assert(~entrance.taken[set_up] | ~is_set_up, "one set-up at a time"),
                Assert(entrance.setting_up == is_set_up, "until it is done"),
                Assert(inside + entrance.room - entrance.entered == _ROOM, "there is room"),
                Assert((passed == 0) | entrance.packets_turn | takes_packet, "packets are next"),
                Assert((others_passed == 0) | ~entrance.packets_turn | takes_other, "or others"),
                Assert(passed <= 1, "a packet is passed once at most"),
                Assert(others_passed <= 1, "and so are the others"),
                Cover(entrance.taken[packet] & (passed == 1), "a packet behind another"),
                Cover(entrance.taken[set_up] & self.valid.all(), "a set-up among others"),
            ]
        return m


PROOFS = [
    Proof(f"roce.Entrance/{name}", lambda config=config: _Turns(config), depth, mode)
    for size, config in (("wide", _WIDE), ("narrow", _NARROW))
    for name, depth, mode in (
        (f"in turns, {size}", 10, "prove"),
        (f"each of them, {size}", 20, "cover"),
    )
]
