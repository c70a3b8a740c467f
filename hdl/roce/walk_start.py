"""Where the walk of a packet through its list begins."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .gather_layouts import WalkEndLayout, WalkJobLayout, WalkUnitLayout
from .send_layouts import SendPacketKind

__all__ = ["HEAD_UNITS", "WalkStart", "WalkStartLayout"]

#: Units of 16 bytes of an entry that are its head: piece n is unit n + 2.
HEAD_UNITS = 2
_OPERAND_UNIT = 3


class WalkStartLayout(data.StructLayout):
    """First unit of a packet.

    Fields
    ------
    skip, left : 32 bits each
        Bytes to skip of its piece; bytes of the packet.
    base : 32 bits
        Place of the piece's first byte in the message.
    ... :
        WalkUnitLayout(config).
    """

    def __init__(self, config: RoceConfig):
        counts = {"skip": 32, "left": 32, "base": 32}
        super().__init__({**WalkUnitLayout(config).members, **counts})


class WalkStart(wiring.Component):
    """Begin where the packet of the queue pair before ended, or at the list's beginning.

    Before the first piece an ATOMIC has its operands, and a local operation the entry's first unit,
    which says of which window it is.

    All of it is combinational.

    Specification: docs/roce-requester.md (entry of a work queue).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    job : In(WalkJobLayout(config))
        Packet.
    saved : In(WalkEndLayout())
        Where the one before ended.
    o : Out(WalkStartLayout(config))
        Without ``count`` and ``first``.
    """

    job: Any
    saved: Any
    o: Any

    def __init__(self, *, config: RoceConfig):
        super().__init__(
            {
                "job": In(WalkJobLayout(config)),
                "saved": In(WalkEndLayout()),
                "o": Out(WalkStartLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job, saved, start = self.job, self.saved, self.o
        is_data = Signal()
        is_read = Signal()
        is_atomic = Signal()
        is_bind = Signal()
        is_local = Signal()
        is_empty = Signal()
        has_list = Signal()
        resumes = Signal()
        ahead = Signal(33)
        m.d.comb += [
            is_data.eq(job.kind == SendPacketKind.DATA),
            is_read.eq(job.kind == SendPacketKind.READ),
            is_atomic.eq(job.kind == SendPacketKind.ATOMIC),
            is_bind.eq(job.kind == SendPacketKind.BIND),
            is_local.eq(is_bind | (job.kind == SendPacketKind.INVALIDATE)),
            is_empty.eq(~job.length.any()),
            has_list.eq((is_data & ~job.inline) | is_read | is_atomic),
            ahead.eq(job.offset - saved.base),
            # At the beginning nothing is known of the entry yet: the slot may have had another.
            resumes.eq(
                is_data
                & (job.pieces > 1)
                & job.offset.any()
                & (saved.slot == job.slot)
                & ~ahead[-1]
            ),
            *(
                start[name].eq(job[name])
                for name in ("queue_pair", "epoch", "slot", "slots", "domain", "number")
            ),
            start.is_final.eq(job.last),
            start.unit.eq(Mux(is_local, 0, Mux(is_atomic, _OPERAND_UNIT, HEAD_UNITS))),
            start.end.eq(Mux(is_data, job.pieces, job.pieces.any()) + (HEAD_UNITS - 1)),
            start.walks.eq((has_list & (~is_empty | job.pieces.any())) | is_local),
            start.is_empty.eq(is_empty),
            start.direct.eq(is_data & job.inline & ~is_empty),
            start.is_data.eq(is_data),
            start.is_operation.eq(is_read | is_atomic),
            start.is_atomic.eq(is_atomic),
            start.is_local.eq(is_local),
            start.is_bind.eq(is_bind),
            start.is_head.eq(is_atomic | is_local),
            start.skip.eq(job.offset),
            start.left.eq(job.length),
            start.base.eq(0),
        ]
        with m.If(resumes):
            m.d.comb += [
                start.unit.eq(saved.unit),
                start.skip.eq(ahead),
                start.base.eq(saved.base),
            ]
        return m
