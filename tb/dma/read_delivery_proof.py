"""Proofs of parts of hdl.dma.ReadDelivery: a failure goes with its own row, no row without room.

One response a request, with its own status, after its packet was taken.
"""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.dma.delivery_parts import RowReadLayout, TurnedRowLayout
from hdl.dma.memory_port import MemoryResponseLayout, MemoryStatus
from hdl.dma.row_join import RowJoin
from hdl.dma.row_turner import RowTurner
from tb.prove import Proof
from tb.stream.queue_proof import addresses_from

__all__ = ["PROOFS"]

_CLIENTS = 2
_TAGS = 4
_ROW_BYTES = 32
_ROOM = 4
_NUMBER_BITS = 3  # more than tags or requests in the cycles looked at


class _OwnFailure(wiring.Component):
    """Rows that are turned: each is written for its own client, with its status; 0 if it failed."""

    reads: Signal
    row: Any
    status: Signal
    read_data: Signal

    def __init__(self):
        self.row_layout = RowReadLayout(_ROW_BYTES, _TAGS, 2 * _ROW_BYTES)
        super().__init__(
            {
                "reads": In(_CLIENTS),
                "row": In(self.row_layout),
                "status": In(MemoryStatus),
                "read_data": In(8 * _ROW_BYTES),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.turner = turner = RowTurner(
            client_count=_CLIENTS,
            row_bytes=_ROW_BYTES,
            tag_count=_TAGS,
            slot_bytes=2 * _ROW_BYTES,
        )
        m.d.comb += [
            turner.reads.eq(self.reads),
            turner.row.eq(self.row),
            turner.status.eq(self.status),
            turner.read_data.eq(self.read_data),
        ]
        # What was read 5 cycles ago, and its status, which came 2 cycles later.
        about = Cat(self.reads, self.row.request_tag)
        for cycle in range(5):
            before = Signal.like(about, name=f"read_{cycle}")
            m.d.sync += before.eq(about)
            about = before
        status = Value.cast(self.status)
        for cycle in range(3):
            before = Signal(3, name=f"status_{cycle}")
            m.d.sync += before.eq(status)
            status = before
        response = turner.turned.response
        with m.If(~ResetSignal()):
            m.d.comb += Assert(turner.write == about[:_CLIENTS], "a row for another client")
            with m.If(turner.write.any()):
                m.d.comb += [
                    Assert(response.tag == about[_CLIENTS:], "another request's tag"),
                    Assert(Value.cast(response.status) == status, "another row's status"),
                    Assert((status == 0) | (turner.turned.data == 0), "bytes of a failed read"),
                ]
        return m


class _Join(wiring.Component):
    """A client's rows, written as long as there is room."""

    write: Signal
    row: Any
    data_ready: Signal
    response_ready: Signal

    def __init__(self):
        super().__init__(
            {
                "write": In(1),
                "row": In(TurnedRowLayout(2)),
                "data_ready": In(1),
                "response_ready": In(1),
            }
        )

    def join(self, m: Module) -> tuple[RowJoin, Signal]:
        """Add the join; return it, and how many rows it holds or has not said to have left."""
        m.submodules.join = join = RowJoin(row_bytes=2, room=_ROOM)
        rows = Signal(range(_ROOM + 2))
        m.d.comb += [
            join.write.eq(self.write),
            join.row.eq(self.row),
            join.data.ready.eq(self.data_ready),
            join.response.ready.eq(self.response_ready),
        ]
        m.d.sync += rows.eq(rows + self.write - join.left)
        with m.If(~ResetSignal()):
            m.d.comb += Assume((rows != _ROOM) | ~self.write, "no row without room")
        return join, rows


class _Room(_Join):
    """As long as not more rows come than leave, each finds a place, and none is lost."""

    def elaborate(self, platform):
        m = Module()
        join, rows = self.join(m)
        queue = join.rows
        places = (1 << queue.address_bits) - 1
        in_memory = Signal.like(rows)
        wrong_distance = Signal()
        outside = queue.o.valid + join.left
        m.d.comb += [
            in_memory.eq(rows - outside),
            # If all places are full, the addresses meet.
            wrong_distance.eq(queue._write_address != queue._read_address),
        ]
        with m.Switch(in_memory):
            nth = addresses_from(m, "after_read", queue._read_address, places)
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += wrong_distance.eq(queue._write_address != address)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~self.write | queue.i.ready, "a row is lost"),
                Assert(rows <= _ROOM, "more rows than there is room for"),
                Assert(rows >= outside, "fewer rows than leave"),
                Assert(in_memory <= places, "more rows than places"),
                Assert((in_memory < 2) | queue.o.valid, "room outside"),
                Assert(~wrong_distance, "addresses do not fit the rows"),
                Assert(queue._empty == (in_memory == 0), "empty is wrong"),
                Assert(~queue._full, "full is wrong"),
                Assert(
                    ~queue._read_address.all() & ~queue._write_address.all(), "an address is stuck"
                ),
            ]
        return m


class _OneAnswer(_Join):
    """Requests of rows as RowTurner makes them: each gets one response, its own, when it is due.

    Requests are numbered; ``answers`` holds what is due for each, ``errors`` for each packet.
    """

    def __init__(self, *, cover: bool = False):
        super().__init__()
        self.cover = cover

    def elaborate(self, platform):
        m = Module()
        join, _ = self.join(m)
        row, count = self.row, 1 << _NUMBER_BITS

        # What RowTurner promises of the rows of a request.
        inside = Signal()
        aligned = Signal()
        tag = Signal(8)
        failure = Signal(3)
        status = Signal(3)
        m.d.comb += status.eq(
            Mux(row.first | (failure == 0), Value.cast(row.response.status), failure)
        )
        promised = Cat(
            row.first == ~inside,
            row.first | ((row.whole == aligned) & (row.response.tag == tag)),
            ~row.whole | ((row.below == 0) & ~row.two),
            row.whole | row.below[0],
            ~row.below[1],
            row.begins_beat == (row.first & ~row.whole),
            ~row.begins_beat | ~row.last,
            ~row.two | row.last,
            row.last | (row.tail == 1),
            ~row.flush | (row.first & row.last & row.whole),
        ).all()

        numbers = [
            Signal(_NUMBER_BITS, name=name)
            for name in ("sent", "answered", "sent_packets", "taken_packets")
        ]
        sent, answered, sent_packets, taken_packets = numbers
        due = data.StructLayout({"response": MemoryResponseLayout(), "packets": _NUMBER_BITS})
        answers = [Signal(due, name=f"answer_{n}") for n in range(count)]
        errors = Signal(count)
        packets = Signal(_NUMBER_BITS)
        m.d.comb += packets.eq(sent_packets + ~row.flush)
        with m.If(self.write):
            m.d.sync += [
                inside.eq(~row.last),
                aligned.eq(row.whole),
                tag.eq(row.response.tag),
                failure.eq(status),
            ]
        with m.If(self.write & row.last):
            m.d.sync += [sent.eq(sent + 1), sent_packets.eq(packets)]
            for n, answer in enumerate(answers):
                with m.If(sent == n):
                    m.d.sync += [
                        answer.response.tag.eq(row.response.tag),
                        Value.cast(answer.response.status).eq(status),
                        answer.packets.eq(packets),
                    ]
                with m.If((sent_packets == n) & ~row.flush):
                    m.d.sync += errors[n].eq(status != 0)

        ends = Signal()
        answer = Signal(due)
        m.d.comb += ends.eq(join.data.valid & join.data.p.last)
        m.d.sync += taken_packets.eq(taken_packets + (ends & self.data_ready))
        m.d.sync += answered.eq(answered + (join.response.valid & self.response_ready))
        with m.Switch(answered):
            for n, known in enumerate(answers):
                with m.Case(n):
                    m.d.comb += answer.eq(known)
        with m.If(~ResetSignal()):
            m.d.comb += Assume(~self.write | promised, "rows as RowTurner makes them")
            if self.cover:
                m.d.comb += Cover((answered == 3) & (taken_packets == 2), "three are answered")
            else:
                with m.If(join.response.valid):
                    m.d.comb += [
                        Assert(answered != sent, "a response to no request"),
                        Assert(join.response.payload == answer.response, "another's response"),
                        Assert(taken_packets >= answer.packets, "a response before its packet"),
                    ]
                with m.If(ends):
                    m.d.comb += [
                        Assert(taken_packets != sent_packets, "a packet of no request"),
                        Assert(
                            join.data.p.error == (errors >> taken_packets)[0], "another's error"
                        ),
                    ]
        return m


PROOFS = [
    Proof("dma.RowTurner/a row's failure is its own", _OwnFailure, depth=6),
    Proof("dma.RowJoin/no row without room", _Room, depth=2),
    Proof("dma.RowJoin/one response a request, its own", _OneAnswer, depth=8, mode="bmc"),
    Proof(
        "dma.RowJoin/requests are answered", lambda: _OneAnswer(cover=True), depth=12, mode="cover"
    ),
]
