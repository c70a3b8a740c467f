"""Arbiter of writes: whose row is stored next, and which pieces are whole."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker
from .parts import client_shape
from .write_parts import WriteRowLayout, WriteToldLayout, store_rows_of

__all__ = ["WriteArbiter"]

_UNCOUNTED = 2


class WriteArbiter(wiring.Component):
    """Store a row a cycle, of the clients in turn, and tell of the pieces that are whole with it.

    Turns go row by row. A client without a row to store is passed over, also in mid-packet; pieces
    leave in the order in which they become whole, so nobody waits for a packet that does not come.

    Pieces are counted until they have left the queue behind, so nothing ever waits here: no row is
    taken while there may be no room for its piece.

    Latency is 2 cycles, one of them where the row is written, and one more where the client is not
    the one that was chosen last. Throughput is a row and a piece per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.
    piece_count : int
        Pieces for which there is room behind; 16 for the full rate.

    Members
    -------
    i : In(stream.Signature(WriteRowLayout(client_count, row_bytes))).array(client_count)
        What each client offers; may be taken back. ``ready`` is a register, 1 at one of them at a
        time at most.
    left : In(1)
        Strobe: there is room for one piece more.
    write_en, write_row, write_data : Out
        Write port of the store; the client's number is the high part of the row's.
    o : Out(stream.Signature(WriteToldLayout(client_count, row_bytes)))
        Pieces whose rows are written before, or in this cycle, for :class:`WriteVerdict`.
        Combinational from the register in which the row stands. ``ready`` is not looked at.
    """

    i: list[stream.Interface]
    left: Signal
    write_en: Signal
    write_row: Signal
    write_data: Signal
    o: stream.Interface

    def __init__(self, *, client_count: int, row_bytes: int, piece_count: int):
        self.client_count = client_count
        self.row_bytes = row_bytes
        self.piece_count = piece_count
        self.row_layout = WriteRowLayout(client_count, row_bytes)
        rows = stream.Signature(self.row_layout)
        super().__init__(
            {
                "i": In(rows).array(client_count),
                "left": In(1),
                "write_en": Out(1),
                "write_row": Out(range(client_count * store_rows_of(row_bytes))),
                "write_data": Out(8 * row_bytes),
                "o": Out(stream.Signature(WriteToldLayout(client_count, row_bytes))),
            }
        )

        # The state, which proofs look at: a row, whose it is, and who was chosen for the next; room
        # for pieces, and whether there was enough for all that could come.
        self.full = Signal()
        self.row = Signal(self.row_layout, reset_less=True)
        self.client = Signal(client_shape(client_count), reset_less=True)
        self.turn = Signal(client_shape(client_count), init=client_count - 1)
        self.room = Signal(range(piece_count + 1), init=piece_count)
        self.goes = Signal()
        self.picker = RoundRobinPicker(request_count=max(2, client_count))

    def elaborate(self, platform):
        m = Module()

        full, row, client, turn = self.full, self.row, self.client, self.turn

        # Two rows, one in the register and one about to be, may have pieces not counted yet.
        will_go = Signal()
        m.d.comb += will_go.eq(self.room > _UNCOUNTED)
        m.d.sync += [
            self.goes.eq(will_go),
            self.room.eq(self.room - self.o.valid + self.left),
        ]

        # Whose row is taken now was chosen in the cycle before, so that nothing waits for both. Who
        # was chosen last is the last to be chosen again, and then may have nothing more.
        offered = Signal(self.client_count)
        m.d.comb += offered.eq(Cat(port.valid for port in self.i))
        m.submodules.picker = picker = self.picker
        next_turn = Signal.like(turn)
        m.d.comb += [
            picker.requests.eq(offered),
            picker.take.eq(self.goes),
            next_turn.eq(Mux(self.goes & picker.granted, picker.index, turn)),
        ]
        m.d.sync += turn.eq(next_turn)
        chosen = Signal(self.row_layout)
        m.d.comb += chosen.eq(self.i[-1].payload)
        for number, port in enumerate(self.i):
            ready = Signal(name=f"ready_{number}")
            m.d.sync += ready.eq(will_go & (next_turn == number))
            m.d.comb += port.ready.eq(ready)
        with m.Switch(turn):
            for number, port in enumerate(self.i[:-1]):
                with m.Case(number):
                    m.d.comb += chosen.eq(port.payload)
        m.d.sync += [
            full.eq(self.goes & offered.bit_select(turn, 1)),
            client.eq(turn),
            row.eq(chosen),
        ]

        m.d.comb += [
            self.write_en.eq(full & row.has_row),
            self.write_row.eq(Cat(row.row, client)),
            self.write_data.eq(row.data),
        ]

        m.d.comb += [
            self.o.valid.eq(full & row.is_piece),
            self.o.p.piece.eq(row.piece),
            self.o.p.piece.client.eq(client),
            self.o.p.kept.eq(Cat(row.keep, C(0, 1)).bit_select(row.most, 2)),
            *(self.o.p[name].eq(row[name]) for name in ("has_row", "final", "last", "error")),
        ]
        return m
