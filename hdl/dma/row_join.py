"""Packets and responses of one client."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import PacketLayout, PacketSignature, Queue
from .delivery_parts import TurnedRowLayout, filled_to
from .memory_port import MemoryResponseLayout, MemoryStatus
from .skid import Skid

__all__ = ["RowJoin"]


class RowJoin(wiring.Component):
    """Hold turned rows, join them to packets, and answer each request.

    A row ends the beat that the row before began, and begins the next one. A beat that is whole and
    finds the output taken, because a row made two, stays behind until a row makes none of its own:
    so r rows take r cycles, whatever their requests, and a beat stays behind for at most as long
    as rows follow without a gap. Then it leaves at once.

    Latency is 3 cycles; throughput is 1 row and 1 beat a cycle. The response is offered in the
    cycle after its last beat was taken. While two responses wait, nothing moves.

    Specification: this docstring.

    Parameters
    ----------
    row_bytes : int
        Bytes of a row and of a beat.
    room : int
        Rows held at least. Nothing checks that there is room.

    Members
    -------
    write : In(1), row : In(TurnedRowLayout(row_bytes))
        Strobe: a row comes.
    left : Out(1)
        Strobe, registered: there is room for one row more.
    data : Out(PacketSignature(row_bytes))
        Packets, registered.
    response : Out(stream.Signature(MemoryResponseLayout()))
        Responses, registered.
    has_packet : Out(1)
        The response is that of a packet, not of a request of 0 bytes; registered.
    """

    write: Signal
    row: Any
    left: Signal
    data: stream.Interface
    response: stream.Interface
    has_packet: Signal

    def __init__(self, *, row_bytes: int, room: int):
        self.row_bytes = row_bytes
        self.room = room
        self.row_layout = TurnedRowLayout(row_bytes)
        super().__init__(
            {
                "write": In(1),
                "row": In(self.row_layout),
                "left": Out(1),
                "data": Out(PacketSignature(row_bytes)),
                "response": Out(stream.Signature(MemoryResponseLayout())),
                "has_packet": Out(1),
            }
        )
        self.rows = Queue(shape=self.row_layout, depth=room, counted=True, shallow=True)
        self.answers = Skid(
            shape=data.StructLayout({"response": MemoryResponseLayout(), "has_packet": 1})
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = self.rows
        takes = Signal()
        can_move = Signal()
        has_row = Signal()
        row = Signal(self.row_layout)
        m.d.comb += [
            rows.i.valid.eq(self.write),
            rows.i.payload.eq(self.row),
            has_row.eq(rows.o.valid),
            row.eq(rows.o.payload),
            rows.o.ready.eq(can_move),
        ]
        m.d.sync += self.left.eq(takes)

        # The first failure counts. What is kept is part of a beat, or with `is_whole` all of it.
        failed = Signal(MemoryStatus, reset_less=True)
        status = Signal(MemoryStatus)
        is_whole = Signal()
        kept_data = Signal(8 * self.row_bytes, reset_less=True)
        about = data.StructLayout(
            {
                "last": 1,
                "flush": 1,
                "response": MemoryResponseLayout(),
            }
        )
        kept = Signal(about, reset_less=True)
        new = Signal(about)
        leaving = Signal(about)
        new_is_whole = Signal()
        m.d.comb += [
            status.eq(Mux(row.first | (failed == MemoryStatus.OK), row.response.status, failed)),
            new.last.eq(row.last),
            new.flush.eq(row.flush),
            new.response.tag.eq(row.response.tag),
            new.response.status.eq(status),
            new_is_whole.eq(Mux(is_whole, row.whole, row.two)),
        ]

        # The answer to a request waits until the request's last beat is taken.
        leaves = Signal()
        responds = Signal()
        responding = Signal()
        beat_is_taken = Signal()
        answer: Any = Signal(self.answers.shape, reset_less=True)
        m.submodules.answers = answers = self.answers
        m.d.comb += [
            answers.i.valid.eq(responding & beat_is_taken),
            answers.i.payload.eq(answer),
            self.response.valid.eq(answers.o.valid),
            self.response.payload.eq(answers.o.p.response),
            self.has_packet.eq(answers.o.p.has_packet),
            answers.o.ready.eq(self.response.ready),
            beat_is_taken.eq(~self.data.valid | self.data.ready),
            can_move.eq(beat_is_taken & answers.i.ready),
            takes.eq(can_move & has_row),
            leaves.eq(is_whole | (has_row & ~row.begins_beat)),
            responds.eq(leaves & leaving.last),
        ]
        with m.If(is_whole):
            m.d.comb += leaving.eq(kept)
        with m.Else():
            m.d.comb += leaving.eq(new)
            with m.If(row.two):
                m.d.comb += leaving.last.eq(0)

        with m.If(can_move):
            m.d.sync += is_whole.eq(has_row & new_is_whole)
        with m.If(takes):
            m.d.sync += [kept_data.eq(row.data), kept.eq(new), failed.eq(status)]

        beat = Signal(PacketLayout(self.row_bytes), reset_less=True)
        m.d.comb += self.data.payload.eq(beat)
        # What is kept of each beat is found before it is known which of them leaves.
        kept_keep = Signal(self.row_bytes, reset_less=True)
        new_keep = Signal(self.row_bytes)
        m.d.comb += new_keep.eq(Cat(filled_to(row.tail)) | row.two.replicate(self.row_bytes))
        with m.If(takes):
            m.d.sync += kept_keep.eq(Cat(filled_to(row.tail)))
        with m.If(self.data.ready):
            m.d.sync += self.data.valid.eq(0)
        with m.If(can_move):
            m.d.sync += [
                self.data.valid.eq(leaves & ~leaving.flush),
                beat.keep.eq(Mux(is_whole, kept_keep, new_keep)),
                beat.last.eq(leaving.last),
                beat.error.eq(leaving.last & (leaving.response.status != MemoryStatus.OK)),
            ]
            for n in range(self.row_bytes):
                byte = slice(8 * n, 8 * (n + 1))
                m.d.sync += beat.data[byte].eq(
                    Mux(is_whole | row.below[n], kept_data[byte], row.data[byte])
                )

        with m.If(can_move):
            m.d.sync += [
                responding.eq(responds),
                answer.response.eq(leaving.response),
                answer.has_packet.eq(~leaving.flush),
            ]
        return m
