"""Packets and responses of reads for a client with narrower beats."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Downsizer, PacketSignature
from .memory_port import MemoryResponseLayout

__all__ = ["NarrowRead"]


class NarrowRead(wiring.Component):
    """Cut the beats of a client's packets, and keep each response behind its packet.

    Where a wide beat is cut, its response would arrive before its last part: here it waits until
    every packet that had ended when it came has ended at the output, too.

    Latency is 1 cycle for data, and 1 for a response. Throughput is 1 narrow beat per cycle.

    Specification: this docstring, and the contract of :func:`MemoryReadSignature`.

    Parameters
    ----------
    i_bytes, o_bytes : int
        Bytes per beat of the engine and of the client, ``i_bytes`` the larger.

    Members
    -------
    i : In(PacketSignature(i_bytes))
        Packets.
    i_response : In(stream.Signature(MemoryResponseLayout()))
        Responses, each after the last beat of its packet has been taken on ``i``.
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
        m.submodules.downsizer = downsizer = self.downsizer
        wiring.connect(m, wiring.flipped(self.i), downsizer.i)
        wiring.connect(m, downsizer.o, wiring.flipped(self.o))

        # Packets that have ended; the downsizer holds one beat, so the counts differ by 1 at most.
        came = Signal()
        went = Signal()
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += came.eq(came + self.i.p.last)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += went.eq(went + self.o.p.last)

        held = Signal()
        behind = Signal()
        is_behind = Signal()
        was_behind = Signal()
        answer = Signal(MemoryResponseLayout(), reset_less=True)
        passes = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~self.o_response.valid | self.o_response.ready),
            # While a response waits, packets behind its own go on: once equal is enough.
            is_behind.eq(was_behind | (went == behind)),
            passes.eq(held & free & is_behind),
            self.i_response.ready.eq(~held | passes),
        ]
        with m.If(free):
            m.d.sync += self.o_response.valid.eq(passes)
        with m.If(passes):
            m.d.sync += self.o_response.payload.eq(answer)
        m.d.sync += was_behind.eq(is_behind)
        with m.If(self.i_response.ready):
            m.d.sync += [
                held.eq(self.i_response.valid),
                behind.eq(came),
                was_behind.eq(0),
                answer.eq(self.i_response.payload),
            ]
        return m
