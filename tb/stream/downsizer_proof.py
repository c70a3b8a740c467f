"""Proofs of hdl.stream.Downsizer."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import Downsizer, PacketLayout, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]


class _EveryByteOnce(wiring.Component):
    """A downsizer beside the wide beat that it took last and the number of the next part.

    Each part that carries bytes leaves once, in order, before the next wide beat is taken, and
    the output obeys the rules of streams and packets.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, i_bytes: int, cover: bool = False):
        self.cover = cover
        self.i_bytes = i_bytes
        super().__init__({"i": In(PacketSignature(i_bytes)), "o": Out(PacketSignature(1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.downsizer = downsizer = Downsizer(i_bytes=self.i_bytes, o_bytes=1)
        wiring.connect(m, wiring.flipped(self.i), downsizer.i)
        wiring.connect(m, downsizer.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)

        wide = Signal(PacketLayout(self.i_bytes))
        part = Signal(range(self.i_bytes))
        inside = Signal()
        is_final = Signal()
        taken = Signal()
        m.d.comb += [
            is_final.eq(((wide.keep >> part) >> 1) == 0),
            taken.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [part.eq(part + 1), inside.eq(~is_final)]
        with m.If(taken):
            m.d.sync += [wide.eq(self.i.payload), part.eq(0), inside.eq(1)]

        with m.If(~ResetSignal()):
            m.d.comb += Assume(is_well_formed(self.i), "input is well formed")
            if self.cover:
                m.d.comb += Cover(
                    inside & wide.last & (wide.keep == 7) & is_final & taken, "next beat"
                )
                return m
            m.d.comb += [
                Assert(self.o.valid == inside, "a beat is lost or repeated"),
                Assert(is_well_formed(self.o), "output is malformed"),
                Assert(~taken | ~inside | (self.o.ready & is_final), "a part is lost"),
            ]
            with m.If(inside):
                m.d.comb += [
                    Assert(self.o.p.data == wide.data.word_select(part, 8), "a byte changed"),
                    Assert(self.o.p.last == (wide.last & is_final), "last"),
                    Assert(self.o.p.error == (wide.last & is_final & wide.error), "error"),
                    # What ties the state to what was seen, so that induction has a start.
                    Assert(downsizer.held.data == wide.data >> (part << 3), "state: data"),
                    Assert(downsizer.held.keep == wide.keep >> part, "state: keep"),
                    Assert(downsizer.held.last == wide.last, "state: last"),
                    Assert(downsizer.held.error == wide.error, "state: error"),
                    Assert((wide.keep & (wide.keep + 1)) == 0, "state: keep"),
                    Assert(wide.keep.bit_select(part, 1), "state: part"),
                ]
        assert_stream(m, "o", self.o)
        return m


PROOFS = [
    Proof("stream.Downsizer/every byte once", lambda: _EveryByteOnce(i_bytes=4), depth=2),
    Proof(
        "stream.Downsizer/three of four parts, then the next beat",
        lambda: _EveryByteOnce(i_bytes=4, cover=True),
        depth=7,
        mode="cover",
    ),
]
