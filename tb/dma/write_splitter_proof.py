"""Proof that pieces of hdl.dma.WriteSplitter are sent, each for itself, while the link is up."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.dma import WriteSplitter
from hdl.dma.write_parts import WritePieceLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_CLIENTS = 2
_ROW_BYTES = 32


class _Apart(wiring.Component):
    """A splitter of pieces of two clients, some to be sent and some not.

    Every beat of a piece that is to be sent is sent, not nullified, and its request ends with the
    status that came with it, whatever was before. A client's rows come free with its own
    steps alone, and at the end are those that its piece says.
    """

    max_payload: Signal
    ready: Signal
    valid: Signal
    piece: Any

    def __init__(self):
        super().__init__(
            {
                "max_payload": In(3),
                "ready": In(1),
                "valid": In(1),
                "piece": In(WritePieceLayout(_CLIENTS, _ROW_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WriteSplitter(client_count=_CLIENTS, row_bytes=_ROW_BYTES)
        step, piece = dut.o.p, dut.plan.piece
        m.d.comb += [
            dut.i.payload.eq(self.piece),
            dut.i.valid.eq(self.valid),
            dut.max_payload.eq(self.max_payload),
            dut.link_up.eq(1),
            dut.o.ready.eq(self.ready),
        ]
        moves = Signal()
        ends = Signal()
        m.d.comb += [
            moves.eq(dut.o.valid & dut.o.ready),
            ends.eq(moves & (~piece.send | (~dut.priming & (dut.beats_left == 0)))),
        ]

        ended = Signal()
        wanted = Signal.like(piece.free_to)
        whose = Signal.like(piece.client)
        m.d.sync += [ended.eq(ends), wanted.eq(piece.free_to), whose.eq(piece.client)]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~dut.o.valid | (step.emit == (piece.send & ~dut.priming)), "sent"),
                Assert(~dut.o.valid | ~step.nullified, "nullified"),
                Assert(~dut.o.valid | ~step.end | (step.status == piece.status), "status"),
                Assert(~dut.o.valid | (step.end == (piece.end & ends)) | ~moves, "end"),
                Assert(~dut.o.valid | (step.client == piece.client), "client"),
                Assert(~(dut.lost & dut.valid) & ~dut.fell & ~dut.failed.any(), "link"),
                Assert(~dut.valid | ~piece.send | ~dut.muted, "muted"),
            ]
        for n, freed in enumerate(dut.freed):
            before = Signal.like(freed, name=f"before_{n}")
            mine = Signal(name=f"mine_{n}")
            m.d.sync += [before.eq(freed), mine.eq(moves & (piece.client == n))]
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Assert(mine | (freed == before), "another's rows"),
                    Assert(~ended | (whose != n) | (freed == wanted), "free"),
                    Assert(~dut.o.valid | (piece.client != n) | (step.row == freed[:-1]), "row"),
                ]
        return m


PROOFS = [Proof("dma.WriteSplitter/clients do not touch each other", _Apart, depth=2)]
