"""Proof of hdl.roce.ClassLists: queues, of which the first that has anybody goes."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.roce.class_lists import ClassLists, MemberLayout
from tb.prove import Proof
from tb.stream.rules import assert_stream

__all__ = ["PROOFS"]

_MEMBERS, _CLASSES = 3, 2
_DEPTH = 9
#: Cycles until the next one is offered.
_LONGEST = 2


class _Order(wiring.Component):
    """Members come back whenever they are out, in any class, beside plain queues."""

    push: Signal
    pushed: Any
    o: stream.Interface

    def __init__(self):
        layout = MemberLayout(members=_MEMBERS, classes=_CLASSES)
        super().__init__({"push": In(1), "pushed": In(layout), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.lists = lists = ClassLists(members=_MEMBERS, classes=_CLASSES)
        wiring.connect(m, lists.o, wiring.flipped(self.o))
        m.d.comb += [lists.push.eq(self.push), lists.pushed.eq(self.pushed)]
        assert_stream(m, "o", self.o)

        # Who is somewhere inside, or on the output.
        inside = Signal(_MEMBERS)
        leaves = Signal()
        is_free = Signal()
        member = self.pushed.member
        m.d.comb += [
            leaves.eq(self.o.valid & self.o.ready),
            is_free.eq(~inside.bit_select(member, 1) | (leaves & (self.o.p.member == member))),
            Assume(~ResetSignal(), "no reset"),
            Assume(member < _MEMBERS, "a member"),
            Assume(~self.push | is_free, "once at most"),
        ]
        with m.If(leaves):
            m.d.sync += inside.bit_select(self.o.p.member, 1).eq(0)
        with m.If(self.push):
            m.d.sync += inside.bit_select(member, 1).eq(1)

        # The queues, as they were when whoever is offered now was chosen.
        was: Any = Signal(lists.pushed.shape())
        was_pushed = Signal()
        was_taken = Signal(init=1)
        is_new = Signal()
        m.d.sync += [
            was.eq(self.pushed),
            was_pushed.eq(self.push),
            was_taken.eq(~self.o.valid | self.o.ready),
        ]
        m.d.comb += is_new.eq(self.o.valid & was_taken)
        counts = [Signal(range(_MEMBERS + 1), name=f"count_{n}") for n in range(_CLASSES)]
        for number, count in enumerate(counts):
            queue = [Signal(range(_MEMBERS), name=f"queue_{number}_{n}") for n in range(_MEMBERS)]
            comes = was_pushed & (was.priority == number)
            goes = is_new & (self.o.p.priority == number)
            place = Signal(range(_MEMBERS + 1), name=f"place_{number}")
            m.d.comb += [
                place.eq(count - goes),
                Assert(~goes | (count != 0), "nobody twice, nobody who was not put in"),
                Assert(~goes | (self.o.p.member == queue[0]), "in order"),
                *(Assert(~goes | (c == 0), "lowest class first") for c in counts[:number]),
            ]
            m.d.sync += count.eq(count + comes - goes)
            with m.If(goes):
                m.d.sync += [before.eq(after) for before, after in pairwise(queue)]
            with m.If(comes):
                for n, slot in enumerate(queue):
                    with m.If(place == n):
                        m.d.sync += slot.eq(was.member)
        # Nobody is forgotten.
        idle = Signal(range(_LONGEST + 2))
        with m.If(self.o.valid | (Cat(*counts) == 0)):
            m.d.sync += idle.eq(0)
        with m.Elif(idle <= _LONGEST):
            m.d.sync += idle.eq(idle + 1)
        m.d.comb += [
            Assert(idle < _LONGEST, "somebody waits, and nobody is offered"),
            Cover((counts[0] == 2) & is_new & self.push, "a list"),
            Cover((counts[0] == 1) & (counts[1] == 2), "two of them"),
        ]
        return m


PROOFS = [
    Proof(f"roce.ClassLists/order in {_DEPTH} cycles", _Order, _DEPTH, "bmc"),
    Proof("roce.ClassLists/lists of more than one", _Order, _DEPTH, "cover"),
]
