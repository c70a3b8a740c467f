"""Packet demultiplexer: each packet to the port that a stream beside it names."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["PacketDemux"]


class PacketDemux(wiring.Component):
    """Send each packet to the output that the stream ``ports`` names for it.

    The n-th element of ``ports`` belongs to the n-th packet. A packet waits for its element,
    and the element is taken with the packet's last beat. Packets leave whole and unchanged; a
    packet whose element is no port is dropped whole, at one beat per cycle and whatever the
    outputs do.

    There is one beat of storage: a packet for an output that does not take it holds up the
    packets behind it for all outputs. Where that must not be, a queue behind each output has
    to be as large as what the output may be late by.

    Latency is 1 cycle. Throughput is 1 beat per cycle, also across packet boundaries and from
    one output to another.

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
        Packets. ``i.ready`` depends combinationally on ``ports`` and every ``o[*].ready``.
    ports : In(stream.Signature(range(port_count + 1)))
        Output of each packet; ``port_count`` or more drops it. ``ports.ready`` depends
        combinationally on ``i``, ``ports.payload`` and every ``o[*].ready``.
    o : Out(PacketSignature(data_bytes)).array(port_count)
        Outputs, registered.
    dropped : Out(1)
        Event, registered: pulses in the cycle after the last beat of each packet dropped.

    Attributes
    ----------
    held : Signal
        State: one-hot, the output that the beat in the register is for; 0 when there is none.

    Raises
    ------
    ValueError
        If ``port_count`` is less than 2 or ``data_bytes`` is not a power of two.
    """

    i: stream.Interface
    ports: stream.Interface
    o: list[stream.Interface]
    dropped: Signal

    def __init__(self, *, port_count: int, data_bytes: int):
        if port_count < 2:
            raise ValueError(f"port_count must be 2 or more, not {port_count!r}")
        self.port_count = port_count
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "ports": In(stream.Signature(range(port_count + 1))),
                "o": Out(PacketSignature(data_bytes)).array(port_count),
                "dropped": Out(1),
            }
        )
        self.held = Signal(port_count)

    def elaborate(self, platform):
        m = Module()

        wanted = Signal(self.port_count)
        exists = Signal()
        free = Signal()
        passes = Signal()
        m.d.comb += [
            wanted.eq(Cat(self.ports.payload == number for number in range(self.port_count))),
            exists.eq(self.ports.payload < self.port_count),
            free.eq(~(self.held & ~Cat(port.ready for port in self.o)).any()),
            self.i.ready.eq(self.ports.valid & (free | ~exists)),
            passes.eq(self.i.valid & self.i.ready),
            self.ports.ready.eq(passes & self.i.p.last),
        ]

        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        for number, port in enumerate(self.o):
            m.d.comb += [port.payload.eq(beat), port.valid.eq(self.held[number])]
        with m.If(free):
            m.d.sync += [
                self.held.eq(wanted & passes.replicate(self.port_count)),
                beat.eq(self.i.payload),
            ]
        m.d.sync += self.dropped.eq(passes & ~exists & self.i.p.last)

        return m
