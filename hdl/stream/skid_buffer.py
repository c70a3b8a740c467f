"""Register stage for a packet stream, in both directions."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Cut every combinational path of a packet stream, also that of ``ready``.

    It holds two beats: one on the output and one that was taken while the output was refused.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` is a register.
    o : Out(PacketSignature(data_bytes))
        Output, registered.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {"i": In(PacketSignature(data_bytes)), "o": Out(PacketSignature(data_bytes))}
        )

        # Beats need no reset: `waits` and `o.valid` say when they mean something. The proof
        # looks at what waits.
        self._waiting = Signal(PacketLayout(data_bytes), reset_less=True)

    def elaborate(self, platform):
        m = Module()

        waits = Signal()
        waiting = self._waiting
        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += [self.i.ready.eq(~waits), self.o.payload.eq(beat)]

        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid | waits), waits.eq(0)]
            with m.If(waits):
                m.d.sync += beat.eq(waiting)
            with m.Else():
                m.d.sync += beat.eq(self.i.payload)
        with m.Elif(self.i.valid):
            m.d.sync += waits.eq(1)
        with m.If(~waits):
            m.d.sync += waiting.eq(self.i.payload)

        return m
