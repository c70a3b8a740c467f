"""Arbiter of writes: whose row is stored next, and which pieces are whole."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker
from .memory_port import MemoryStatus
from .parts import client_shape
from .write_parts import WritePieceLayout, WriteRowLayout, store_rows_of

__all__ = ["WriteArbiter"]


class WriteArbiter(wiring.Component):
    """Store a row a cycle, of the clients in turn, and tell of the pieces that are whole with it.

    Turns go row by row. A client without a row to store is passed over, also in mid-packet; pieces
    leave in the order in which they become whole, so nobody waits for a packet that does not come.

    Here a row's bytes are compared with what its request says. A piece that ends in a row in which
    the packet ends with ``error`` or too early is not sent. A packet that goes on is.

    Latency is 2 cycles, one of them where the row is written, and one more where the client is not
    the one that was chosen last. Throughput is a row and a piece per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.

    Members
    -------
    i : In(stream.Signature(WriteRowLayout(client_count, row_bytes))).array(client_count)
        What each client offers; may be taken back. ``ready``, at one of them at a time, depends
        combinationally on ``o.ready`` alone.
    write_en, write_row, write_data : Out
        Write port of the store; the client's number is the high part of the row's.
    o : Out(stream.Signature(WritePieceLayout(client_count, row_bytes)))
        Pieces whose rows are written before, or in this cycle. Combinational from the register in
        which the row stands.
    """

    i: list[stream.Interface]
    write_en: Signal
    write_row: Signal
    write_data: Signal
    o: stream.Interface

    def __init__(self, *, client_count: int, row_bytes: int):
        self.client_count = client_count
        self.row_bytes = row_bytes
        self.row_layout = WriteRowLayout(client_count, row_bytes)
        rows = stream.Signature(self.row_layout)
        super().__init__(
            {
                "i": In(rows).array(client_count),
                "write_en": Out(1),
                "write_row": Out(range(client_count * store_rows_of(row_bytes))),
                "write_data": Out(8 * row_bytes),
                "o": Out(stream.Signature(WritePieceLayout(client_count, row_bytes))),
            }
        )

        # The state, which proofs look at: a row, whose it is, and who was chosen for the next.
        self.full = Signal()
        self.row = Signal(self.row_layout, reset_less=True)
        self.client = Signal(client_shape(client_count), reset_less=True)
        self.turn = Signal(client_shape(client_count), init=client_count - 1)
        self.picker = RoundRobinPicker(request_count=max(2, client_count))

    def elaborate(self, platform):
        m = Module()

        full, row, client, turn = self.full, self.row, self.client, self.turn
        free = Signal()
        m.d.comb += free.eq(~full | self.o.ready | ~row.is_piece)

        # Whose row is taken now was chosen in the cycle before, so that nothing waits for both. Who
        # was chosen last is the last to be chosen again, and then may have nothing more.
        offered = Signal(self.client_count)
        m.d.comb += offered.eq(Cat(port.valid for port in self.i))
        m.submodules.picker = picker = self.picker
        m.d.comb += [picker.requests.eq(offered), picker.take.eq(free)]
        with m.If(free & picker.granted):
            m.d.sync += turn.eq(picker.index)
        chosen = Signal(self.row_layout)
        m.d.comb += chosen.eq(self.i[-1].payload)
        for number, port in enumerate(self.i):
            m.d.comb += port.ready.eq(free & (turn == number))
        with m.Switch(turn):
            for number, port in enumerate(self.i[:-1]):
                with m.Case(number):
                    m.d.comb += chosen.eq(port.payload)
        with m.If(free):
            m.d.sync += [
                full.eq(offered.bit_select(turn, 1)),
                client.eq(turn),
                row.eq(chosen),
            ]

        m.d.comb += [
            self.write_en.eq(full & row.has_row),
            self.write_row.eq(Cat(row.row, client)),
            self.write_data.eq(row.data),
        ]

        # The last byte that the request has in its final row, and the one behind it.
        kept = Signal(2)
        is_bad = Signal()
        differs = Signal()
        m.d.comb += [
            kept.eq(Cat(row.keep, C(0, 1)).bit_select(row.most, 2)),
            is_bad.eq(row.last & (row.error | ~row.final | ~kept[0])),
            differs.eq(row.final & (~row.last | kept[1])),
            self.o.valid.eq(full & row.is_piece),
            self.o.payload.eq(row.piece),
            self.o.p.client.eq(client),
            self.o.p.send.eq(row.has_row & ~is_bad),
        ]
        with m.If(row.has_row):
            with m.If(row.last & row.error):
                m.d.comb += self.o.p.status.eq(MemoryStatus.CANCELLED)
            with m.Elif(is_bad | differs):
                m.d.comb += self.o.p.status.eq(MemoryStatus.LENGTH)
        return m
