"""Gate in a packet stream that opens and closes between packets."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["Gate"]


class Gate(wiring.Component):
    """Let packets begin only while ``enable`` is high.

    A packet whose first beat was taken passes to its last, whatever ``enable`` does; while the
    gate is closed, the input is refused and nothing is lost.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` depends combinationally on ``o.ready`` and ``enable``.
    o : Out(PacketSignature(data_bytes))
        Output, registered.
    enable : In(1)
        A packet may begin in this cycle.
    open : Out(1)
        A beat may pass in this cycle: ``enable``, or within a packet. When ``enable`` is low and
        this is, too, no packet is cut. Combinational from ``enable``.
    """

    i: stream.Interface
    o: stream.Interface
    enable: Signal
    open: Signal

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)),
                "enable": In(1),
                "open": Out(1),
            }
        )

        self._in_packet = Signal()

    def elaborate(self, platform):
        m = Module()

        can_move = Signal()
        # The beat needs no reset: `o.valid` says when it means something.
        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += [
            self.open.eq(self.enable | self._in_packet),
            can_move.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(can_move & self.open),
            self.o.payload.eq(beat),
        ]
        with m.If(can_move):
            m.d.sync += [self.o.valid.eq(self.i.valid & self.open), beat.eq(self.i.payload)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self._in_packet.eq(~self.i.p.last)

        return m
