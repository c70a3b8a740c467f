"""Proofs of hdl.stream.PacketDemux."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketDemux, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _WholePackets(wiring.Component):
    """A demultiplexer whose inputs obey the stream rules.

    Its outputs then do, too; each beat accepted leaves once, unchanged, at the output named, or
    nowhere if there is none; an element of ``ports`` is taken exactly with a packet's last
    beat, so that all beats of a packet go the same way.
    """

    i: stream.Interface
    ports: stream.Interface
    o: list[stream.Interface]

    def __init__(self, port_count: int, *, cover: bool = False):
        self.cover = cover
        self.port_count = port_count
        super().__init__(
            {
                "i": In(PacketSignature(1)),
                "ports": In(stream.Signature(range(port_count + 1))),
                "o": Out(PacketSignature(1)).array(port_count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.demux = demux = PacketDemux(port_count=self.port_count, data_bytes=1)
        wiring.connect(m, wiring.flipped(self.i), demux.i)
        wiring.connect(m, wiring.flipped(self.ports), demux.ports)
        assume_stream(m, "i", self.i)
        assume_stream(m, "ports", self.ports)
        for port, output in zip(demux.o, self.o, strict=True):
            wiring.connect(m, port, wiring.flipped(output))

        taken = Signal()
        ends = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            ends.eq(self.ports.valid & self.ports.ready),
        ]
        inside = Signal()
        expected = Signal.like(Value.cast(self.i.payload))
        expected_port = Signal.like(self.ports.payload)
        expect_dropped = Signal()
        for number, port in enumerate(self.o):
            with m.If((expected_port == number) & port.ready):
                m.d.sync += inside.eq(0)
        m.d.sync += expect_dropped.eq(0)
        with m.If(taken):
            with m.If(self.ports.payload < self.port_count):
                m.d.sync += [
                    inside.eq(1),
                    expected.eq(Value.cast(self.i.payload)),
                    expected_port.eq(self.ports.payload),
                ]
            with m.Else():
                m.d.sync += expect_dropped.eq(self.i.p.last)

        if self.cover:
            given = Signal(self.port_count)
            for number, port in enumerate(self.o):
                with m.If(port.valid & port.ready & port.p.last):
                    m.d.sync += given[number].eq(1)
            with m.If(~ResetSignal()):
                m.d.comb += Cover(given.all() & demux.dropped & inside, "all have been given")
            return m

        for number, port in enumerate(self.o):
            assert_stream(m, f"o{number}", port)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(ends == (taken & self.i.p.last), "elements and packets out of step"),
                Assert(~taken | self.ports.valid, "a beat passed without an element"),
                Assert(demux.dropped == expect_dropped, "dropped is wrong"),
                Assert(~inside | (expected_port < self.port_count), "state: port"),
            ]
            for number, port in enumerate(self.o):
                m.d.comb += [
                    Assert(
                        port.valid == (inside & (expected_port == number)),
                        "a beat is lost, repeated or strayed",
                    ),
                    Assert(~port.valid | (Value.cast(port.payload) == expected), "a beat changed"),
                ]
        return m


PROOFS = [
    Proof("stream.PacketDemux/whole packets", lambda: _WholePackets(3), depth=2),
    Proof(
        "stream.PacketDemux/all ports are given",
        lambda: _WholePackets(3, cover=True),
        depth=9,
        mode="cover",
    ),
]
