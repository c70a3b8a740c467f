"""Proofs of hdl.pcie.TlpPacker."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.pcie import TlpPacker
from hdl.pcie.tlp import TlpBeatLayout
from tb.prove import Proof

from ..stream.rules import assert_stream, assume_stream

__all__ = ["PROOFS"]

_LANES = 2
_NUMBER_BITS = 3  # more than there are segments inside


def _count(bits: Value) -> Value:
    return sum(bits, start=Const(0, _NUMBER_BITS))


class _InOrder(wiring.Component):
    """A packer whose segments are numbered as they come.

    They leave in that order, each once, from lane 0 without gaps; a beat that is not full ends
    with an eop, and an offer that is refused stays as it is.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        beat = stream.Signature(TlpBeatLayout(_LANES))
        super().__init__({"i": In(beat), "o": Out(beat)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.packer = packer = TlpPacker(segment_count=_LANES)
        wiring.connect(m, wiring.flipped(self.i), packer.i)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)

        came = Signal(_NUMBER_BITS)
        left = Signal(_NUMBER_BITS)
        valid = self.i.p.valid
        numbers = [came + _count(valid[:n]) for n in range(_LANES)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += came.eq(came + _count(valid))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += left.eq(left + _count(self.o.p.valid))

        def is_number(segment, number: Value) -> Value:
            return segment.data[:_NUMBER_BITS] == number[:_NUMBER_BITS]

        started = Signal()
        m.d.sync += started.eq(1)
        offered = [self.o.valid & self.o.p.valid[n] for n in range(_LANES)]
        last_eop = Mux(offered[1], self.o.p.segments[1].eop, self.o.p.segments[0].eop)
        behind = left + _count(Cat(offered))
        held = packer.fill[1]
        with m.If(~ResetSignal()):
            m.d.comb += Assume(~self.i.valid | valid.any(), "a row has a valid lane")
            for n in range(_LANES):
                m.d.comb += Assume(is_number(self.i.p.segments[n], numbers[n]), "numbered")
            if self.cover:
                short = self.o.valid & ~self.o.p.valid[1]
                m.d.comb += Cover(short & held & (left == 3) & self.o.ready, "a short beat")
                return m
            m.d.comb += [
                Assert(~self.o.valid | offered[0], "a gap"),
                Assert(~self.o.valid | offered[1] | last_eop, "a short beat within a TLP"),
                Assert(~self.o.valid | (packer.inside == ~last_eop), "forgot what was sent"),
                # What ties the state to what was seen.
                Assert((packer.fill == 1) | (packer.fill == 2), "fill is not one-hot"),
                Assert(packer.row_valid[0] | ~packer.row_valid[1], "a gap in the row"),
                Assert(
                    (came - behind)[:_NUMBER_BITS] == _count(packer.row_valid) + held,
                    "a segment is lost or sent twice",
                ),
                Assert(~held | is_number(packer.held[0], behind), "out of order"),
            ]
            for n in range(_LANES):
                m.d.comb += [
                    Assert(~offered[n] | is_number(self.o.p.segments[n], left + n), "out of order"),
                    Assert(
                        ~packer.row_valid[n] | is_number(packer.row[n], behind + held + n),
                        "out of order",
                    ),
                ]
        assert_stream(m, "o", self.o)
        return m


class _NoPause(wiring.Component):
    """A packer whose rows are as rules want them, and come without a pause within a TLP.

    Its output then does not pause within a TLP either.
    """

    i: stream.Interface
    ready: Signal

    def __init__(self):
        beat = stream.Signature(TlpBeatLayout(_LANES))
        super().__init__({"i": In(beat), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.packer = packer = TlpPacker(segment_count=_LANES)
        wiring.connect(m, wiring.flipped(self.i), packer.i)
        m.d.comb += packer.o.ready.eq(self.ready)
        assume_stream(m, "i", self.i)

        inside = Signal()
        first, second = self.i.p.segments
        valid = self.i.p.valid
        after_first = Mux(valid[0], ~first.eop, inside)
        after = Mux(valid[1], ~second.eop, after_first)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += inside.eq(after)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.i.valid | valid.any(), "a row has a valid lane"),
                Assume(~inside | (self.i.valid & valid[0]), "a TLP pauses"),
                Assume(~self.i.valid | ~after_first | valid[1], "a TLP pauses"),
                Assert(~packer.inside | packer.o.valid, "valid fell within a TLP"),
            ]
        return m


PROOFS = [
    Proof("pcie.TlpPacker/nothing lost, nothing out of order", _InOrder, depth=2),
    Proof("pcie.TlpPacker/no pause within a TLP", _NoPause, depth=10, mode="bmc"),
    Proof(
        "pcie.TlpPacker/short beats are sent", lambda: _InOrder(cover=True), depth=8, mode="cover"
    ),
]
