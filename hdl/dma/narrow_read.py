"""Packets and responses of reads for a client with narrower beats."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Downsizer, PacketSignature, SkidBuffer
from .memory_port import MemoryResponseLayout

__all__ = ["NarrowRead"]


class NarrowRead(wiring.Component):
    """Cut the beats of a client's packets, and keep each response behind its packet.

    Where a wide beat is cut, its response would arrive before its last part: here a response of a
    packet waits until as many packets have left as there were such responses.

    Latency is 2 cycles for data, and 2 for a response. Throughput is 1 narrow beat per cycle, and 1
    response per cycle.

    Specification: this docstring, and the contract of :func:`MemoryReadSignature`.

    Parameters
    ----------
    i_bytes, o_bytes : int
        Bytes per beat of the engine and of the client, ``i_bytes`` the larger.

    Members
    -------
    i : In(PacketSignature(i_bytes))
        Packets. ``i.ready`` is registered.
    i_response : In(stream.Signature(MemoryResponseLayout()))
        Responses, each after the last beat of its packet has been taken on ``i``.
        ``i_response.ready`` is registered.
    has_packet : In(1)
        The response on ``i_response`` is that of a packet, not of a request of 0 bytes.
    o : Out(PacketSignature(o_bytes))
        Packets.
    o_response : Out(stream.Signature(MemoryResponseLayout()))
        Responses, each after the last beat of its packet has been taken on ``o``. Registered.

    Raises
    ------
    ValueError
        If a width is not a power of two or ``i_bytes`` is not larger than ``o_bytes``.
    """

    i: stream.Interface
    i_response: stream.Interface
    has_packet: Signal
    o: stream.Interface
    o_response: stream.Interface

    def __init__(self, *, i_bytes: int, o_bytes: int):
        self.skid = SkidBuffer(data_bytes=i_bytes)
        self.downsizer = Downsizer(i_bytes=i_bytes, o_bytes=o_bytes)
        response = stream.Signature(MemoryResponseLayout())
        super().__init__(
            {
                "i": In(PacketSignature(i_bytes)),
                "i_response": In(response),
                "has_packet": In(1),
                "o": Out(PacketSignature(o_bytes)),
                "o_response": Out(response),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A way from a client's ready to every byte of the engine's beats would be long.
        m.submodules.skid = skid = self.skid
        m.submodules.downsizer = downsizer = self.downsizer
        wiring.connect(m, wiring.flipped(self.i), skid.i)
        wiring.connect(m, downsizer.o, wiring.flipped(self.o))

        # Packets that have left, less responses of packets: so many may be answered. Data wait when
        # there are four; one more may be in the downsizer.
        ahead = Signal(3)
        m.d.comb += [
            downsizer.i.payload.eq(skid.o.payload),
            downsizer.i.valid.eq(skid.o.valid & ~ahead[2]),
            skid.o.ready.eq(downsizer.i.ready & ~ahead[2]),
        ]
        waits = data.StructLayout({"valid": 1, "has_packet": 1, "response": MemoryResponseLayout()})
        first = Signal(waits)
        second = Signal(waits)
        came = Signal(waits)
        ends = Signal()
        free = Signal()
        passes = Signal()
        m.d.comb += [
            self.i_response.ready.eq(~second.valid),
            came.valid.eq(self.i_response.valid),
            came.has_packet.eq(self.has_packet),
            came.response.eq(self.i_response.payload),
            ends.eq(self.o.valid & self.o.ready & self.o.p.last),
            free.eq(~self.o_response.valid | self.o_response.ready),
            passes.eq(first.valid & free & (ahead.any() | ~first.has_packet)),
        ]
        m.d.sync += ahead.eq(ahead + ends - (passes & first.has_packet))
        with m.If(free):
            m.d.sync += self.o_response.valid.eq(passes)
        with m.If(passes):
            m.d.sync += self.o_response.payload.eq(first.response)
        with m.If(passes | ~first.valid):
            m.d.sync += [first.eq(Mux(second.valid, second, came)), second.valid.eq(0)]
        with m.Elif(~second.valid):
            m.d.sync += second.eq(came)
        return m
