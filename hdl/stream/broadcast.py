"""One packet stream to many."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["Broadcast"]


class Broadcast(wiring.Component):
    """Give every beat of one packet stream to each of ``port_count`` outputs, once.

    The outputs take a beat independently, in the same cycle or not. The next beat comes when
    all have taken the last, so the slowest output sets the pace, and an output that stops
    stops all.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries, while
    every output takes a beat per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    port_count : int
        Number of outputs, 2 or more.
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` depends combinationally on every ``o[*].ready``.
    o : Out(PacketSignature(data_bytes)).array(port_count)
        Outputs, registered; ``o[n].valid`` depends combinationally on nothing.

    Raises
    ------
    ValueError
        If ``port_count`` is less than 2 or ``data_bytes`` is not a power of two.
    """

    i: stream.Interface
    o: list[stream.Interface]

    def __init__(self, *, port_count: int, data_bytes: int):
        if port_count < 2:
            raise ValueError(f"port_count must be 2 or more, not {port_count!r}")
        self.port_count = port_count
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)).array(port_count),
            }
        )

    def elaborate(self, platform):
        m = Module()

        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        awaited = Signal(self.port_count)  # outputs that have not taken the beat in the register
        waiting = Signal(self.port_count)
        m.d.comb += [
            waiting.eq(awaited & ~Cat(port.ready for port in self.o)),
            self.i.ready.eq(~waiting.any()),
        ]
        for number, port in enumerate(self.o):
            m.d.comb += [port.payload.eq(beat), port.valid.eq(awaited[number])]

        with m.If(self.i.ready):
            m.d.sync += [
                awaited.eq(self.i.valid.replicate(self.port_count)),
                beat.eq(self.i.payload),
            ]
        with m.Else():
            m.d.sync += awaited.eq(waiting)

        return m
