"""Proofs of hdl.serial.slip."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.serial import SlipDecoder, SlipEncoder
from hdl.stream import PacketSignature
from tb.prove import Proof
from tb.stream.rules import assert_stream, assume_stream

__all__ = ["PROOFS"]

_IN_FLIGHT = 4  # a byte before the encoder's output, one there, one that waits, one that leaves


class _Rules(wiring.Component):
    """An encoder and a decoder whose inputs obey the stream rules: their outputs do, too."""

    packet_i: stream.Interface
    packet_o: stream.Interface
    byte_i: stream.Interface
    byte_o: stream.Interface

    def __init__(self):
        super().__init__(
            {
                "packet_i": In(PacketSignature(1)),
                "packet_o": Out(PacketSignature(1)),
                "byte_i": In(stream.Signature(8)),
                "byte_o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.decoder = decoder = SlipDecoder()
        wiring.connect(m, wiring.flipped(self.packet_i), encoder.i)
        wiring.connect(m, encoder.o, wiring.flipped(self.byte_o))
        wiring.connect(m, wiring.flipped(self.byte_i), decoder.i)
        wiring.connect(m, decoder.o, wiring.flipped(self.packet_o))
        assume_stream(m, "packet_i", self.packet_i)
        assume_stream(m, "byte_i", self.byte_i)
        assert_stream(m, "packet_o", self.packet_o)
        assert_stream(m, "byte_o", self.byte_o)
        return m


class _RoundTrip(wiring.Component):
    """An encoder before a decoder: each beat leaves once, in order, with its ``last``."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, cover: bool):
        self.cover = cover
        super().__init__({"i": In(PacketSignature(1)), "o": Out(PacketSignature(1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.decoder = decoder = SlipDecoder()
        wiring.connect(m, wiring.flipped(self.i), encoder.i)
        wiring.connect(m, encoder.o, decoder.i)
        wiring.connect(m, decoder.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)

        sent = [Signal(9, name=f"sent_{n}") for n in range(_IN_FLIGHT)]
        begin, end = Signal(range(_IN_FLIGHT)), Signal(range(_IN_FLIGHT))
        count = Signal(range(_IN_FLIGHT + 1))
        enter, leave = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.sync += count.eq(count + enter - leave)
        with m.If(enter):
            m.d.sync += [
                Array(sent)[end].eq(Cat(self.i.p.data, self.i.p.last)),
                end.eq(end + 1),
            ]
        with m.If(leave):
            m.d.sync += begin.eq(begin + 1)
        with m.If(~ResetSignal()):
            if self.cover:
                ended = Signal(range(3))
                m.d.sync += ended.eq(ended + (leave & self.o.p.last & (ended != 2)))
                m.d.comb += Cover((ended == 1) & leave & (self.o.p.data == 0xC0), "END was escaped")
            else:
                m.d.comb += Assert(count + enter <= _IN_FLIGHT, "more in flight than there is room")
                with m.If(self.o.valid):
                    beat = Cat(self.o.p.data, self.o.p.last)
                    m.d.comb += [
                        Assert(count != 0, "a beat that was not sent"),
                        Assert(beat == Array(sent)[begin], "another beat than was sent"),
                        Assert(~self.o.p.error & self.o.p.keep, "an error that was not made"),
                    ]
        return m


PROOFS = [
    Proof("serial.Slip/stream rules", _Rules, depth=2),
    Proof("serial.Slip/round trip", lambda: _RoundTrip(cover=False), depth=8, mode="bmc"),
    Proof(
        "serial.Slip/an escaped packet arrives",
        lambda: _RoundTrip(cover=True),
        depth=12,
        mode="cover",
    ),
]
