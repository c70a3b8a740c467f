"""Proof that hdl.dma.WriteArbiter and WriteVerdict take rows for what they are, and in turn."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import MemoryStatus, WriteArbiter, WriteVerdict
from hdl.dma.write_parts import WriteRowLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_CLIENTS = 3
_WATCHED = 1
_ROW_BYTES = 32
_PIECES = 4


class _Apart(wiring.Component):
    """An arbiter of clients that offer and take back as they like.

    What the watched one gives is written where it says, and its pieces are told of, with the status
    of its own packet, whatever the others' packets are; nothing is told of twice, or lost. Before
    its turn is one of each of the others at most.
    """

    i: list[stream.Interface]
    left: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        rows = stream.Signature(WriteRowLayout(_CLIENTS, _ROW_BYTES))
        super().__init__({"i": In(rows).array(_CLIENTS), "left": In(1)})

    def elaborate(self, platform):
        m = Module()
        sizes = {"client_count": _CLIENTS, "row_bytes": _ROW_BYTES}
        m.submodules.dut = dut = WriteArbiter(**sizes, piece_count=_PIECES)
        m.submodules.verdict = verdict = WriteVerdict(**sizes)
        wiring.connect(m, dut.o, verdict.i)
        o = verdict.o
        for port, inner in zip(self.i, dut.i, strict=True):
            wiring.connect(m, wiring.flipped(port), inner)
        m.d.comb += dut.left.eq(self.left)
        watched: Any = self.i[_WATCHED]
        taken = Signal()
        m.d.comb += taken.eq(watched.valid & watched.ready)

        # The row that was taken last, until all is done with it.
        held = Signal()
        row: Any = Signal(WriteRowLayout(_CLIENTS, _ROW_BYTES))
        told = Signal()
        m.d.comb += told.eq(o.valid & (o.p.client == _WATCHED))
        with m.If(taken):
            m.d.sync += [held.eq(1), row.eq(watched.payload)]
        with m.Elif(told | ~row.is_piece):
            m.d.sync += held.eq(0)

        # How many turns were not its own since it offers.
        passed = Signal(3)
        with m.If(taken | ~watched.valid):
            m.d.sync += passed.eq(0)
        with m.Elif(Cat(port.ready for port in self.i).any()):
            m.d.sync += passed.eq(passed + 1)

        queued = Signal(range(2 * _PIECES))
        m.d.sync += queued.eq(queued + o.valid - self.left)

        distance = Signal(2)  # turns until its own
        m.d.comb += distance.eq(
            Mux(dut.turn > _WATCHED, _CLIENTS + _WATCHED - dut.turn, _WATCHED - dut.turn)
        )

        bytes_wanted = Signal(range(_ROW_BYTES + 1))
        bytes_given = Signal(range(_ROW_BYTES + 1))
        fits = Signal()
        status = Signal(MemoryStatus)
        m.d.comb += [
            bytes_wanted.eq(row.most + 1),
            fits.eq(row.last & row.final & (bytes_given == bytes_wanted)),
            status.eq(MemoryStatus.OK),
        ]
        for count in range(1, _ROW_BYTES + 1):
            with m.If(row.keep == (1 << count) - 1):
                m.d.comb += bytes_given.eq(count)
        well_formed = Signal()
        m.d.comb += well_formed.eq((bytes_given > 0) & (row.last | row.keep.all()))
        with m.If(row.has_row):
            with m.If(row.last & row.error):
                m.d.comb += status.eq(MemoryStatus.CANCELLED)
            with m.Elif((row.last | row.final) & ~fits):
                m.d.comb += status.eq(MemoryStatus.LENGTH)

        mine = Signal()  # the arbiter's row is the watched client's
        m.d.comb += mine.eq(dut.full & (dut.client == _WATCHED))
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(watched.p.piece.status == MemoryStatus.OK, "not yet known"),
                Assume(~self.left | (queued > 0), "none is there to leave"),
            ]
            if self.cover:
                m.d.comb += Cover(told & o.p.send & (o.p.status == MemoryStatus.LENGTH), "too long")
                return m
            m.d.comb += [
                # What is to be shown.
                Assert((o.valid & (o.p.client == _WATCHED)) == (held & row.is_piece), "one"),
                Assert(~(held & row.is_piece & well_formed) | (o.p.status == status), "status"),
                Assert(
                    ~(held & row.is_piece & well_formed)
                    | (o.p.send == (row.has_row & ~self._is_bad(row, bytes_given))),
                    "send",
                ),
                Assert(~(held & row.is_piece) | (o.p.free_to == row.piece.free_to), "piece"),
                Assert(
                    ~(held & row.has_row)
                    | (
                        dut.write_en
                        & (dut.write_row == Cat(row.row, C(_WATCHED, 2)))
                        & (dut.write_data == row.data)
                    ),
                    "the row is written",
                ),
                Assert(
                    ~dut.write_en | held | (dut.write_row[len(row.row) :] != _WATCHED),
                    "nothing else is written there",
                ),
                Assert(passed < _CLIENTS, "passed over"),
                Assert(queued <= _PIECES, "no room"),
                # What ties the state together.
                Assert(held == mine, "held"),
                Assert(~held | ((dut.row == row) & (row.piece.status == MemoryStatus.OK)), "row"),
                Assert(dut.turn < _CLIENTS, "turn"),
                *(
                    Assert(port.ready == (dut.goes & (dut.turn == n)), "ready")
                    for n, port in enumerate(self.i)
                ),
                Assert(dut.room + queued == _PIECES, "room"),
                Assert(~dut.full | (dut.room >= 1), "room for what is here"),
                Assert(~dut.goes | (dut.room >= 2), "room for what comes"),
                Assert(passed + distance < _CLIENTS, "distance"),
                Assert(dut.picker.following == (C(0b110, 4) << dut.turn)[:_CLIENTS], "following"),
            ]
        return m

    def _is_bad(self, row: Any, given: Value) -> Value:
        """Whether the packet ends before the request, or with ``error``."""
        return row.last & (row.error | ~row.final | (given < row.most + 1))


PROOFS = [
    Proof("dma.WriteArbiter/clients do not touch each other", _Apart, depth=2),
    Proof("dma.WriteArbiter/too long", lambda: _Apart(cover=True), depth=6, mode="cover"),
]
