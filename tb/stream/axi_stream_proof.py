"""Proofs of hdl.stream.FromAxiStream and ToAxiStream."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import (
    AxiStreamInterface,
    AxiStreamSignature,
    FromAxiStream,
    PacketSignature,
    ToAxiStream,
)
from tb.prove import Proof

from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS"]

DATA_BYTES = 4


class _From(wiring.Component):
    """Any AXI beats whatever, kept until they are accepted.

    The output obeys the rules of streams and packets. A beat that is well-formed leaves
    unchanged, and a packet has ``error`` exactly if ``tuser`` said so or a beat of it is not.
    """

    bus: AxiStreamInterface
    o: stream.Interface

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {"bus": In(AxiStreamSignature(DATA_BYTES)), "o": Out(PacketSignature(DATA_BYTES))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.adapter = adapter = FromAxiStream(data_bytes=DATA_BYTES)
        wiring.connect(m, wiring.flipped(self.bus), adapter.s_axis)
        wiring.connect(m, adapter.o, wiring.flipped(self.o))
        bus = self.bus

        refused = Signal()
        offered = Signal(9 * DATA_BYTES + 2)
        offer = Cat(bus.tdata, bus.tkeep, bus.tlast, bus.tuser)
        m.d.sync += [refused.eq(bus.tvalid & ~bus.tready), offered.eq(offer)]

        good_lasts = [(1 << count) - 1 for count in range(1, DATA_BYTES + 1)]
        is_good = Signal()
        has_begun = Signal()
        went_bad = Signal()
        m.d.comb += is_good.eq(
            Mux(
                bus.tlast,
                Cat(bus.tkeep == keep for keep in good_lasts).any(),
                (bus.tkeep == good_lasts[-1]) | (bus.tkeep == 0),
            )
        )
        is_empty = Signal()
        m.d.comb += is_empty.eq((bus.tkeep == 0) & ~(has_begun & bus.tlast))

        inside = Signal()
        expected = Signal.like(offered)
        expect_exact = Signal()
        expect_error = Signal()
        with m.If(self.o.ready):
            m.d.sync += inside.eq(0)
        with m.If(bus.tvalid & bus.tready):
            m.d.sync += [
                inside.eq(~is_empty),
                expected.eq(offer),
                expect_exact.eq(is_good),
                expect_error.eq(bus.tlast & (bus.tuser | went_bad | ~is_good)),
                has_begun.eq(~bus.tlast & (has_begun | (bus.tkeep != 0))),
                went_bad.eq(~bus.tlast & (went_bad | ~is_good)),
            ]

        payload = self.o.p
        passed = Cat(payload.data, payload.keep, payload.last)
        with m.If(~ResetSignal()):
            m.d.comb += Assume(~refused | (bus.tvalid & (offer == offered)), "AXI offers stay")
            if self.cover:
                m.d.comb += Cover(
                    inside & payload.last & payload.error & ~expected[-1] & ~bus.tready,
                    "a packet is marked",
                )
                return m
            m.d.comb += [
                Assert(self.o.valid == inside, "a beat is lost or repeated"),
                Assert(is_well_formed(self.o), "output is malformed"),
            ]
            with m.If(inside):
                m.d.comb += [
                    Assert(payload.last == expected[9 * DATA_BYTES], "packets lost their ends"),
                    Assert(payload.error == expect_error, "error"),
                    Assert(~expect_exact | (passed == expected[:-1]), "a good beat changed"),
                ]
            # What ties the state to what was seen, so that induction has a start.
            m.d.comb += [
                Assert(adapter.is_open == has_begun, "state: is_open"),
                Assert(adapter.damaged == went_bad, "state: damaged"),
            ]
        assert_stream(m, "o", self.o)
        return m


class _To(wiring.Component):
    """Each beat leaves once, unchanged, and stays until it is accepted."""

    i: stream.Interface
    bus: AxiStreamInterface

    def __init__(self):
        super().__init__({"i": In(PacketSignature(1)), "bus": Out(AxiStreamSignature(1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.adapter = adapter = ToAxiStream(data_bytes=1)
        wiring.connect(m, wiring.flipped(self.i), adapter.i)
        wiring.connect(m, adapter.m_axis, wiring.flipped(self.bus))
        bus = self.bus
        assume_stream(m, "i", self.i)

        inside = Signal()
        expected = Signal(11)
        beat = self.i.p
        with m.If(bus.tready):
            m.d.sync += inside.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                inside.eq(1),
                expected.eq(Cat(beat.data, beat.keep, beat.last, beat.last & beat.error)),
            ]
        offer = Cat(bus.tdata, bus.tkeep, bus.tlast, bus.tuser)
        refused = Signal()
        offered = Signal(11)
        m.d.sync += [refused.eq(bus.tvalid & ~bus.tready), offered.eq(offer)]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(bus.tvalid == inside, "a beat is lost or repeated"),
                Assert(~inside | (offer == expected), "a beat changed"),
                Assert(~refused | (bus.tvalid & (offer == offered)), "an offer was taken back"),
            ]
        return m


PROOFS = [
    Proof("stream.FromAxiStream/only well-formed packets", _From, depth=2),
    Proof(
        "stream.FromAxiStream/a marked packet waits",
        lambda: _From(cover=True),
        depth=5,
        mode="cover",
    ),
    Proof("stream.ToAxiStream/every beat once", _To, depth=2),
]
