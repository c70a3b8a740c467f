"""Two payloads of any stream, so that no way leads through from ready to ready."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """Cut a stream's timing: what :class:`SkidBuffer` is for packets, for any payload.

    Latency is 1 cycle. Throughput is 1 payload per cycle.

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
        waits = Signal()
        waiting = Signal(self.shape, reset_less=True)
        front = Signal(self.shape, reset_less=True)
        m.d.comb += [self.i.ready.eq(~waits), self.o.payload.eq(front)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | waits),
                waits.eq(0),
                Value.cast(front).eq(Mux(waits, Value.cast(waiting), Value.cast(self.i.payload))),
            ]
        with m.Elif(~waits):
            m.d.sync += [waits.eq(self.i.valid), waiting.eq(self.i.payload)]
        return m
