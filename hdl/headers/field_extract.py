"""Header bytes to field values."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .registry import HEADERS

__all__ = ["FieldExtract"]


class FieldExtract(wiring.Component):
    """Read the fields of one kind of header.

    Each transfer of ``i`` is a whole header, which leaves on ``o`` as the values of its fields;
    no value is checked.

    Latency is 1 cycle. Throughput is 1 header per cycle.

    Specification: the one that ``HEADERS[header]`` names.

    Parameters
    ----------
    header : str
        Name of the header, a key of ``HEADERS``.

    Members
    -------
    i : In(stream.Signature(HEADERS[header].bits))
        Header, its first byte on the wire in bits 7:0. ``i.ready`` depends combinationally on
        ``o.ready``.
    o : Out(stream.Signature(HEADERS[header].layout()))
        Fields, registered.

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
                "i": In(stream.Signature(self.header.bits)),
                "o": Out(stream.Signature(self.header.layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields = Signal(self.header.layout(), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(fields),
            self.i.ready.eq(self.o.ready | ~self.o.valid),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                fields.eq(self.header.view(self.i.payload)),
            ]
        return m
