"""Packets in a stream of bytes, framed as RFC 1055 says."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketLayout, PacketSignature

__all__ = ["SlipDecoder", "SlipEncoder"]

_END, _ESC, _ESC_END, _ESC_ESC = 0o300, 0o333, 0o334, 0o335


class SlipDecoder(wiring.Component):
    """Turn SLIP frames into packets of one-byte beats.

    Frames without bytes are none, so a sender may put END before each frame too. An ESC that is
    followed by neither ESC_END nor ESC_ESC stands for nothing, the byte after it for itself, as
    the RFC suggests, and the packet ends with ``error``.

    Latency is 1 cycle from the byte after, which tells whether a byte is the last. Throughput is
    1 byte of the frame per cycle.

    Specification: RFC 1055.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(1))
        Packets, registered.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(PacketSignature(1))})

    def elaborate(self, platform):
        m = Module()
        # A byte waits until the next one tells whether it was the last.
        waiting, waits = Signal(8, reset_less=True), Signal()
        escaped, wrong = Signal(), Signal()
        beat = Signal(PacketLayout(1), reset_less=True)
        m.d.comb += [self.o.payload.eq(beat), self.i.ready.eq(self.o.ready | ~self.o.valid)]

        end = self.i.payload == _END
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += escaped.eq(0)
            with m.If((self.i.payload == _ESC) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.sync += [
                    self.o.valid.eq(waits),
                    beat.data.eq(waiting),
                    beat.keep.eq(1),
                    beat.last.eq(end),
                    beat.error.eq(end & (wrong | escaped)),
                    waits.eq(~end),
                ]
                with m.If(end):
                    m.d.sync += wrong.eq(0)
                with m.Elif(escaped), m.Switch(self.i.payload):
                    with m.Case(_ESC_END):
                        m.d.sync += waiting.eq(_END)
                    with m.Case(_ESC_ESC):
                        m.d.sync += waiting.eq(_ESC)
                    with m.Default():
                        m.d.sync += [waiting.eq(self.i.payload), wrong.eq(1)]
                with m.Else():
                    m.d.sync += waiting.eq(self.i.payload)
        return m


class SlipEncoder(wiring.Component):
    """Turn packets of one-byte beats into SLIP frames, each followed by END.

    ``error`` of a packet is not sent.

    Latency is 1 cycle. Throughput is 1 byte of the frame per cycle: a packet takes as many cycles
    as it has bytes, one more for each that must be escaped, and one for END.

    Specification: RFC 1055.

    Members
    -------
    i : In(PacketSignature(1))
        Packets. ``i.ready`` depends combinationally on ``o.ready`` and ``i.payload``.
    o : Out(stream.Signature(8))
        Bytes, registered.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        super().__init__({"i": In(PacketSignature(1)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        byte = Signal(8, reset_less=True)
        m.d.comb += self.o.payload.eq(byte)

        special = (self.i.p.data == _END) | (self.i.p.data == _ESC)
        escaped, ended = Signal(), Signal()  # ESC was sent, a last byte was sent
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += self.o.valid.eq(self.i.valid | ended)
            with m.If(ended):
                m.d.sync += [byte.eq(_END), ended.eq(0)]
            with m.Elif(special & ~escaped):
                m.d.sync += [byte.eq(_ESC), escaped.eq(self.i.valid)]
            with m.Else():
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    byte.eq(self.i.p.data),
                    escaped.eq(0),
                    ended.eq(self.i.valid & self.i.p.last),
                ]
                with m.If(escaped):
                    m.d.sync += byte.eq(Mux(self.i.p.data == _END, C(_ESC_END, 8), C(_ESC_ESC, 8)))
        return m
