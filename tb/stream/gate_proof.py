"""Proofs of hdl.stream.Gate."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import Gate, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream
from .tracker import Tracker

__all__ = ["PROOFS"]


class _Watched(Gate):
    """A gate that shows whether a packet has begun."""

    @property
    def in_packet(self) -> Signal:
        """Whether the last beat taken was not the last of its packet."""
        return self._in_packet


class _WholePackets(wiring.Component):
    """A gate through which packets begin only while it is enabled, and pass whole."""

    i: stream.Interface
    o: stream.Interface
    enable: Signal
    choose: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "i": In(PacketSignature(1)),
                "o": Out(PacketSignature(1)),
                "enable": In(1),
                "choose": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = gate = _Watched(data_bytes=1)
        m.submodules.tracker = tracker = Tracker(width=len(Value.cast(self.i.payload)), capacity=1)
        wiring.connect(m, wiring.flipped(self.i), gate.i)
        wiring.connect(m, gate.o, wiring.flipped(self.o))
        m.d.comb += [
            gate.enable.eq(self.enable),
            tracker.choose.eq(self.choose),
            tracker.enter.eq(self.i.valid & self.i.ready),
            tracker.entering.eq(Value.cast(self.i.payload)),
            tracker.leave.eq(self.o.valid & self.o.ready),
        ]
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)
        begins = Signal(init=1)
        with m.If(tracker.enter):
            m.d.sync += begins.eq(self.i.p.last)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~(tracker.enter & begins) | self.enable, "a packet begins at a closed gate"),
                Assert(gate.in_packet == ~begins, "a packet's end or beginning is missed"),
                Assert(gate.open == (self.enable | ~begins), "open is wrong"),
                Assert(
                    begins | self.i.ready | (self.o.valid & ~self.o.ready),
                    "a packet that has begun is held",
                ),
                Assert(tracker.level == self.o.valid, "a beat is lost or made up"),
                Assert(~tracker.inside | (tracker.ahead == 0), "followed beat is lost"),
                Assert(
                    ~tracker.inside
                    | (self.o.valid & (Value.cast(self.o.payload) == tracker.payload)),
                    "another beat leaves",
                ),
            ]
        if self.cover:
            m.d.comb += Cover(~self.enable & begins & self.i.valid & self.o.valid, "closed")
        return m


PROOFS = [
    Proof("stream.Gate/whole packets, order, stream rules", _WholePackets, depth=2),
    Proof("stream.Gate/closes", lambda: _WholePackets(cover=True), depth=8, mode="cover"),
]
