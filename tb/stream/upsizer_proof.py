"""Proofs of hdl.stream.Upsizer."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketLayout, PacketSignature, Upsizer
from tb.prove import Proof

from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]


class _EveryByteOnce(wiring.Component):
    """An upsizer beside a list of the narrow beats that it has taken since the last wide one.

    Each wide beat is that list, leaves once, and obeys the rules of streams and packets.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, o_bytes: int, cover: bool = False):
        self.cover = cover
        self.o_bytes = o_bytes
        super().__init__({"i": In(PacketSignature(1)), "o": Out(PacketSignature(o_bytes))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.upsizer = upsizer = Upsizer(i_bytes=1, o_bytes=self.o_bytes)
        wiring.connect(m, wiring.flipped(self.i), upsizer.i)
        wiring.connect(m, upsizer.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)

        taken = Array(Signal(8, name=f"taken_{n}") for n in range(self.o_bytes))
        count = Signal(range(self.o_bytes))
        inside = Signal()
        expected = Signal(PacketLayout(self.o_bytes))
        with m.If(self.o.ready):
            m.d.sync += inside.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [taken[count].eq(self.i.p.data), count.eq(count + 1)]
            with m.If(self.i.p.last | (count == self.o_bytes - 1)):
                m.d.sync += [
                    count.eq(0),
                    inside.eq(1),
                    expected.data.eq(Cat(taken) | (self.i.p.data << (count << 3))),
                    expected.keep.eq((2 << count) - 1),
                    expected.last.eq(self.i.p.last),
                    expected.error.eq(self.i.p.last & self.i.p.error),
                    *(byte.eq(0) for byte in taken),
                ]

        kept = Cat(bit.replicate(8) for bit in expected.keep)
        with m.If(~ResetSignal()):
            m.d.comb += Assume(is_well_formed(self.i), "input is well formed")
            if self.cover:
                m.d.comb += Cover(
                    inside & expected.last & (expected.keep == 7) & ~self.o.ready,
                    "three bytes wait",
                )
                return m
            m.d.comb += [
                Assert(self.o.valid == inside, "a beat is lost or repeated"),
                Assert(is_well_formed(self.o), "output is malformed"),
            ]
            with m.If(inside):
                m.d.comb += [
                    Assert(((self.o.p.data ^ expected.data) & kept) == 0, "a byte changed"),
                    Assert(self.o.p.keep == expected.keep, "keep"),
                    Assert(self.o.p.last == expected.last, "last"),
                    Assert(self.o.p.error == expected.error, "error"),
                    Assert(~self.i.ready | self.o.ready | (count < self.o_bytes - 1), "overrun"),
                    Assert(expected.keep != 0, "state: keep"),
                    Assert((expected.keep & (expected.keep + 1)) == 0, "state: keep"),
                    Assert(expected.keep.all() | expected.last, "state: keep"),
                ]
            # What ties the state to what was seen, so that induction has a start.
            m.d.comb += Assert(upsizer.position == count, "state: position")
            for n, part in enumerate(upsizer.gathered):
                m.d.comb += Assert(
                    Mux(n < count, part == taken[n], taken[n] == 0), "state: gathered"
                )
            m.d.comb += Assert(taken[self.o_bytes - 1] == 0, "state: taken")
        assert_stream(m, "o", self.o)
        return m


PROOFS = [
    Proof("stream.Upsizer/every byte once", lambda: _EveryByteOnce(o_bytes=4), depth=2),
    Proof(
        "stream.Upsizer/a wide beat waits",
        lambda: _EveryByteOnce(o_bytes=4, cover=True),
        depth=7,
        mode="cover",
    ),
]
