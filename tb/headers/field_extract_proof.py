"""Proofs of hdl.headers.FieldExtract and hdl.headers.FieldPack."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.headers import HEADERS, FieldExtract, FieldPack
from tb.prove import Proof
from tb.stream.rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _ThereAndBack(wiring.Component):
    """Extract, then pack: the header of the second cycle before, whatever the stalls."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, header: str):
        self.header = header
        bits = HEADERS[header].bits
        super().__init__({"i": In(stream.Signature(bits)), "o": Out(stream.Signature(bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.extract = extract = FieldExtract(header=self.header)
        m.submodules.pack = pack = FieldPack(header=self.header)
        wiring.connect(m, wiring.flipped(self.i), extract.i)
        wiring.connect(m, extract.o, pack.i)
        wiring.connect(m, pack.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)
        assert_stream(m, "between", extract.o)
        assert_stream(m, "o", self.o)

        # What should be in each of the two registers.
        first, second = (Signal.like(self.i.payload, name=f"register_{n}") for n in range(2))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += first.eq(self.i.payload)
        with m.If(extract.o.valid & extract.o.ready):
            m.d.sync += second.eq(first)
        between = HEADERS[self.header].pack(extract.o.payload)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~extract.o.valid | (between == first), "another header between"),
                Assert(~self.o.valid | (self.o.payload == second), "another header came out"),
            ]
        return m


PROOFS = [Proof("headers.FieldExtract/there and back", lambda: _ThereAndBack("udp"), depth=4)]
