"""Proofs of hdl.pcie.AnswerRoom."""

from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie.answer_room import AnswerRoom
from tb.prove import Proof

__all__ = ["PROOFS"]


class _NeverOverdrawn(wiring.Component):
    """Who takes rows only where there is room never has more than there are, and can use all."""

    take: Signal
    left: Signal

    def __init__(self, *, row_count: int):
        self.row_count = row_count
        super().__init__({"take": In(1), "left": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.room = room = AnswerRoom(port_count=1, row_count=self.row_count)
        used = Signal(range(self.row_count + 2))
        m.d.comb += [room.take.eq(self.take), room.left.eq(self.left)]
        m.d.sync += used.eq(used + self.take - self.left)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.take | room.has_room, "taken without room"),
                Assume(~self.left | (used != 0), "left without having been taken"),
                Assert(used <= self.row_count, "more rows than there are"),
                Assert(room.has_room == (used != self.row_count), "room not told"),
                Assert(room.free[0] + used == self.row_count, "a row is lost"),
            ]
        return m


PROOFS = [
    Proof(
        f"pcie.AnswerRoom/never overdrawn, {row_count} rows",
        lambda row_count=row_count: _NeverOverdrawn(row_count=row_count),
        depth=2,
    )
    for row_count in (1, 8)
]
