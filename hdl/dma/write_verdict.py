"""Verdict on writes: whether a packet was what its request asked for."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .memory_port import MemoryStatus
from .write_parts import WritePieceLayout, WriteToldLayout

__all__ = ["WriteVerdict"]


class WriteVerdict(wiring.Component):
    """Compare the row that made a piece whole with what the request says.

    A piece that ends in a row in which the packet ends with ``error`` or too early is not sent. A
    packet that goes on is.

    Latency is none. Throughput is a piece per cycle.

    Specification: this docstring, and the contract of :func:`MemoryWriteSignature`.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.

    Members
    -------
    i : In(stream.Signature(WriteToldLayout(client_count, row_bytes)))
        Pieces. ``ready`` is ``o.ready``.
    o : Out(stream.Signature(WritePieceLayout(client_count, row_bytes)))
        The same with ``send`` and ``status``. Combinational from ``i``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, client_count: int, row_bytes: int):
        super().__init__(
            {
                "i": In(stream.Signature(WriteToldLayout(client_count, row_bytes))),
                "o": Out(stream.Signature(WritePieceLayout(client_count, row_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        told = self.i.p
        is_bad = Signal()
        differs = Signal()
        m.d.comb += [
            is_bad.eq(told.last & (told.error | ~told.final | ~told.kept[0])),
            differs.eq(told.final & (~told.last | told.kept[1])),
            self.i.ready.eq(self.o.ready),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(told.piece),
            self.o.p.send.eq(told.has_row & ~is_bad),
        ]
        with m.If(told.has_row):
            with m.If(told.last & told.error):
                m.d.comb += self.o.p.status.eq(MemoryStatus.CANCELLED)
            with m.Elif(is_bad | differs):
                m.d.comb += self.o.p.status.eq(MemoryStatus.LENGTH)
        return m
