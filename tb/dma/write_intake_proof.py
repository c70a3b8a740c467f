"""Proof that hdl.dma.WriteIntake tells of rows that are stored, and of all that a piece needs."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import MemoryRequestLayout, WriteIntake
from hdl.stream import PacketSignature
from tb.prove import Proof

from ..stream.rules import assume_stream

__all__ = ["PROOFS"]

_ROW_BYTES = 32
_LAST_PAGE_ROW = 127


class _Pieces(wiring.Component):
    """An intake of any requests and packets, whatever comes free when.

    ``begin`` is the row with the first byte of the next piece: what the piece before left behind.
    Who reads a piece reads as many rows from there as its beats need, and one more to prime. These
    are all rows of the piece, with at most one behind, of which no byte is used. So no row comes
    free before the last one of its piece has been stored and read.
    """

    request: stream.Interface
    data: stream.Interface
    ready: Signal
    freed: Signal
    answered: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "request": In(stream.Signature(MemoryRequestLayout())),
                "data": In(PacketSignature(_ROW_BYTES)),
                "ready": In(1),
                "freed": In(9),
                "answered": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteIntake(client_count=1, row_bytes=_ROW_BYTES, response_count=4)
        wiring.connect(m, wiring.flipped(self.request), dut.request)
        wiring.connect(m, wiring.flipped(self.data), dut.data)
        assume_stream(m, "data", self.data)
        m.d.comb += [
            dut.o.ready.eq(self.ready),
            dut.freed.eq(self.freed),
            dut.answered.eq(self.answered),
        ]
        row: Any = dut.o.p
        piece = row.piece

        told = Signal()
        begin = Signal(9)
        before = Signal(9)  # rows of the piece that are stored
        m.d.comb += [told.eq(dut.o.valid & self.ready & row.is_piece), before.eq(dut.row - begin)]
        with m.If(told):
            m.d.sync += begin.eq(piece.free_to)

        # What whoever reads the piece makes of it.
        dwords_1 = Signal(10)
        reads = Signal(8)
        whole = Signal()  # its bytes came: neither too short nor without any
        m.d.comb += [
            dwords_1.eq(piece.last[2:] - piece.first[2:]),
            reads.eq(dwords_1[3:] + 1 + piece.prime),
            whole.eq(row.has_row & (row.final | ~row.last)),
        ]

        # Where the row lies that comes next, from the address; and the request's last byte.
        page_row = Signal(7)
        end = Signal(12)
        m.d.comb += [
            page_row.eq(_LAST_PAGE_ROW - dut.page_rows_left),
            end.eq(Cat(dut.turned, page_row) + Cat(dut.most, dut.rows_left)),
        ]
        runs = Signal()
        m.d.comb += runs.eq(dut.busy & ~dut.is_empty)
        with m.If(~ResetSignal()):
            if self.cover:
                m.d.comb += Cover(told & whole & piece.prime & (before > 2), "a primed piece")
                return m
            m.d.comb += [
                # What is to be shown.
                Assert(~(told & whole) | (reads == before + 1) | (reads == before + 2), "rows"),
                Assert(
                    ~(told & whole & ~piece.end) | (reads == before + 1), "a kept row is the last"
                ),
                Assert(~told | ((piece.free_to - dut.row)[:9] <= 1), "free"),
                Assert(~(told & whole) | (piece.first <= piece.last), "no byte"),
                # What ties the state together.
                Assert(dut.takes_rows == (dut.active & ~dut.is_empty & dut.has_room), "takes rows"),
                Assert(~runs | (dut.end == end), "end"),
                Assert(
                    ~runs
                    | (dut.is_split == (dut.both & ~dut.is_cut & dut.is_final & dut.is_page_final)),
                    "the row is offered twice",
                ),
                Assert(~runs | (dut.is_final == (dut.rows_left == 0)), "last row"),
                Assert(
                    ~runs | (dut.is_page_final == (dut.page_rows_left == 0)), "last row of the page"
                ),
                Assert(~runs | (dut.both == (dut.turned + dut.most > _ROW_BYTES - 1)), "both"),
                Assert(
                    ~runs | dut.resumes | (before + dut.first[5:] == page_row),
                    "first rows",
                ),
                Assert(~runs | dut.resumes | (dut.first[:5] == dut.turned), "turned"),
                Assert(~runs | ~dut.resumes | (dut.first == 0), "first byte"),
                Assert(
                    ~runs | ~dut.resumes | dut.is_cut | (before == page_row + dut.turned.any()),
                    "rows",
                ),
                Assert(
                    ~dut.is_cut
                    | ~runs
                    | (
                        dut.resumes
                        & dut.both
                        & (before == 0)
                        & (dut.rows_left == 0)
                        & (dut.page_rows_left == 0)
                    ),
                    "cut",
                ),
                Assert(dut.busy & ~dut.is_empty | (before == 0), "between requests"),
            ]
        return m


PROOFS = [
    Proof("dma.WriteIntake/a piece's rows are stored", _Pieces, depth=2),
    Proof("dma.WriteIntake/a primed piece", lambda: _Pieces(cover=True), depth=12, mode="cover"),
]
