"""Proof of hdl.roce.OneRow: what goes in comes out, once, a cycle later."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.roce.one_row import OneRow
from tb.prove import Proof
from tb.stream.rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _Order(wiring.Component):
    """A row between a source that keeps what it offers and a sink that does as it likes."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        super().__init__({"i": In(stream.Signature(2)), "o": Out(stream.Signature(2))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = OneRow(shape=unsigned(2))
        wiring.connect(m, wiring.flipped(self.i), row.i)
        wiring.connect(m, row.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)
        enters = Signal()
        leaves = Signal()
        entered = Signal()
        held = Signal(2)
        count = Signal(2)
        m.d.comb += [
            enters.eq(self.i.valid & self.i.ready),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += [entered.eq(enters), count.eq(count + enters - leaves)]
        with m.If(enters):
            m.d.sync += held.eq(self.i.payload)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(count == self.o.valid, "lost, or made up"),
                Assert(self.i.ready == (count == 0), "ready while it is empty, and only then"),
                Assert(~self.o.valid | (self.o.payload == held), "another payload"),
                Assert(~entered | self.o.valid, "a cycle later"),
                Cover(entered & leaves & self.i.valid, "through at once, and the next one waits"),
            ]
        return m


PROOFS = [
    Proof("roce.OneRow/order, no loss, stream rules", _Order, 2),
    Proof("roce.OneRow/one every second cycle", _Order, 6, mode="cover"),
]
