"""Field values to header bytes."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .registry import HEADERS

__all__ = ["FieldPack"]


class FieldPack(wiring.Component):
    """Write the fields of one kind of header; the inverse of :class:`FieldExtract`.

    Latency is 1 cycle. Throughput is 1 header per cycle.

    Specification: the one that ``HEADERS[header]`` names.

    Parameters
    ----------
    header : str
        Name of the header, a key of ``HEADERS``.

    Members
    -------
    i : In(stream.Signature(HEADERS[header].layout()))
        Fields. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(stream.Signature(HEADERS[header].bits))
        Header, its first byte on the wire in bits 7:0; registered.

    Raises
    ------
    ValueError
        If ``HEADERS`` has no such header.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, header: str):
        if header not in HEADERS:
            raise ValueError(f"header must be one of {sorted(HEADERS)}, not {header!r}")
        self.header = HEADERS[header]
        super().__init__(
            {
                "i": In(stream.Signature(self.header.layout())),
                "o": Out(stream.Signature(self.header.bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header = Signal(self.header.bits, reset_less=True)
        m.d.comb += [
            self.o.payload.eq(header),
            self.i.ready.eq(self.o.ready | ~self.o.valid),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                header.eq(self.header.pack(self.i.payload)),
            ]
        return m
