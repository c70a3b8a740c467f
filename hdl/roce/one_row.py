"""The smallest queue there is."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OneRow"]


class OneRow(wiring.Component):
    """Hold one payload: a :class:`Queue` where one is enough, of a register without a multiplexer.

    Latency is 1 cycle. Throughput is 1 payload per 2 cycles.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.

    Members
    -------
    i : In(stream.Signature(shape))
        Input. ``i.ready`` is a register.
    o : Out(stream.Signature(shape))
        Output, registered.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike):
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        row = Signal(Shape.cast(self.shape), reset_less=True)
        m.d.comb += [self.i.ready.eq(~self.o.valid), Value.cast(self.o.payload).eq(row)]
        with m.If(~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid), row.eq(Value.cast(self.i.payload))]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
