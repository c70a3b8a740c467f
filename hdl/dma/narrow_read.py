"""Packets and responses of reads for a client with narrower beats."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Downsizer, PacketSignature, SkidBuffer
from .memory_port import MemoryResponseLayout

__all__ = ["NarrowRead"]


class NarrowRead(wiring.Component):
    """Cut the beats of a client's packets, and keep each response behind its packet.

    Where a wide beat is cut, its response would arrive before its last part: here it waits until
    every packet that had ended when it came has ended at the output, too.

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
        wiring.connect(m, skid.o, downsizer.i)
        wiring.connect(m, downsizer.o, wiring.flipped(self.o))

        # Packets that have ended: there are three beats inside, so the counts differ by 3 at most.
        came = Signal(2)
        went = Signal(2)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += came.eq(came + self.i.p.last)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += went.eq(went + self.o.p.last)

        # Two responses, so that ready is a register. While one waits, packets behind its own go on:
        # that the counts were equal once is enough.
        waits = data.StructLayout(
            {"valid": 1, "behind": 2, "clear": 1, "response": MemoryResponseLayout()}
        )
        first = Signal(waits)
        second = Signal(waits)
        came_now = Signal(waits)
        second_now = Signal(waits)
        is_clear = Signal()
        free = Signal()
        passes = Signal()
        m.d.comb += [
            self.i_response.ready.eq(~second.valid),
            came_now.valid.eq(self.i_response.valid),
            came_now.behind.eq(came),
            came_now.response.eq(self.i_response.payload),
            second_now.eq(second),
            second_now.clear.eq(second.clear | (went == second.behind)),
            is_clear.eq(first.clear | (went == first.behind)),
            free.eq(~self.o_response.valid | self.o_response.ready),
            passes.eq(first.valid & free & is_clear),
        ]
        with m.If(free):
            m.d.sync += self.o_response.valid.eq(passes)
        with m.If(passes):
            m.d.sync += self.o_response.payload.eq(first.response)
        m.d.sync += [first.clear.eq(is_clear), second.clear.eq(second_now.clear)]
        with m.If(passes | ~first.valid):
            m.d.sync += [first.eq(Mux(second.valid, second_now, came_now)), second.valid.eq(0)]
        with m.Elif(~second.valid):
            m.d.sync += second.eq(came_now)
        return m
