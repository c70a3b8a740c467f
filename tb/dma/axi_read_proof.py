"""Proof that no client of hdl.dma.AxiRead asks for more than it has room for."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.dma.axi_read_client import AxiBurstLayout, AxiReadClient
from tb.prove import Proof

__all__ = ["PROOFS"]

_BURST_ROWS = 2
_BUFFER_ROWS = 16


class _Room(wiring.Component):
    """Pieces are chosen when they may be, become bursts of any length later, and rows leave.

    Rows of bursts and of pieces that may become bursts are, together with what the client thinks
    is free, as many as there are. So the rows of bursts never are more.
    """

    take: Signal
    write: Signal
    burst: Any
    left: Signal
    feed: Signal
    got: Signal
    tick: Signal

    def __init__(self):
        super().__init__(
            {
                "take": In(1),
                "write": In(1),
                "burst": In(AxiBurstLayout(8, _BURST_ROWS)),
                "left": In(1),
                "feed": In(1),
                "got": In(1),
                "tick": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = AxiReadClient(
            data_bytes=8, burst_rows=_BURST_ROWS, buffer_rows=_BUFFER_ROWS
        )
        m.d.comb += [
            dut.take.eq(self.take),
            dut.write.eq(self.write),
            dut.burst.eq(self.burst),
            dut.left.eq(self.left),
            dut.feed.eq(self.feed),
            dut.got.eq(self.got),
            dut.tick.eq(self.tick),
        ]

        chosen = Signal(range(_BUFFER_ROWS + 1))  # and not written
        held = Signal(range(2 * _BUFFER_ROWS))  # rows
        took = Signal()
        spare = Signal(range(_BURST_ROWS))
        was_allowed = Signal()
        rows = Mux(self.write, self.burst.rows_1 + 1, 0)
        m.d.sync += [
            chosen.eq(chosen + self.take - self.write),
            held.eq(held + rows - self.left),
            took.eq(self.take),
            spare.eq(Mux(self.write, _BURST_ROWS - 1 - self.burst.rows_1, 0)),
            was_allowed.eq(dut.allowed),
        ]
        free = dut.room + spare - took * _BURST_ROWS
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.take | dut.allowed, "takes only what is allowed"),
                Assume(~self.write | (chosen != 0), "a burst was a piece"),
                Assume(~self.left | (held != 0), "a row that leaves was there"),
                Assert(
                    free + chosen * _BURST_ROWS + held == _BUFFER_ROWS, "every row is counted once"
                ),
                Assert(dut.room <= _BUFFER_ROWS, "more room than there is"),
                Assert(dut.room >= took * _BURST_ROWS, "less than none"),
                Assert(
                    ~dut.allowed | (dut.room >= (1 + took) * _BURST_ROWS), "room for what may come"
                ),
                Assert(held <= _BUFFER_ROWS, "the buffer is overrun"),
                Cover((held == _BUFFER_ROWS) & (chosen == 0), "all of it is used"),
            ]
        return m


PROOFS = [
    Proof("dma.AxiRead/buffers are not overrun", _Room, depth=3),
    Proof("dma.AxiRead/buffers can be full", _Room, depth=20, mode="cover"),
]
