"""Proofs of hdl.stream.Broadcast."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import Broadcast, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _EveryBeatOnce(wiring.Component):
    """A broadcast whose input obeys the stream rules.

    Its outputs then do, too; each beat accepted is offered at once to all of them, to each until
    it takes it and not again, and the next is accepted only when all have taken it.
    """

    i: stream.Interface
    o: list[stream.Interface]

    def __init__(self, port_count: int, *, cover: bool = False):
        self.cover = cover
        self.port_count = port_count
        super().__init__(
            {"i": In(PacketSignature(1)), "o": Out(PacketSignature(1)).array(port_count)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.broadcast = broadcast = Broadcast(port_count=self.port_count, data_bytes=1)
        wiring.connect(m, wiring.flipped(self.i), broadcast.i)
        assume_stream(m, "i", self.i)
        for port, output in zip(broadcast.o, self.o, strict=True):
            wiring.connect(m, port, wiring.flipped(output))

        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        expected = Signal.like(Value.cast(self.i.payload))
        with m.If(taken):
            m.d.sync += expected.eq(Value.cast(self.i.payload))
        owed = Signal(self.port_count)
        for number, port in enumerate(self.o):
            with m.If(taken):
                m.d.sync += owed[number].eq(1)
            with m.Elif(port.ready):
                m.d.sync += owed[number].eq(0)

        if self.cover:
            with m.If(~ResetSignal()):
                m.d.comb += Cover((owed == 1) & taken & (expected != 0), "the last one takes it")
            return m

        for number, port in enumerate(self.o):
            assert_stream(m, f"o{number}", port)
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Assert(port.valid == owed[number], "a beat is lost or repeated"),
                    Assert(~port.valid | (Value.cast(port.payload) == expected), "a beat changed"),
                    Assert(~taken | ~owed[number] | port.ready, "a beat is overwritten"),
                ]
        return m


PROOFS = [
    Proof("stream.Broadcast/every beat once", lambda: _EveryBeatOnce(3), depth=2),
    Proof(
        "stream.Broadcast/the last one takes it",
        lambda: _EveryBeatOnce(3, cover=True),
        depth=5,
        mode="cover",
    ),
]
