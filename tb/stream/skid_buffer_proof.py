"""Proofs of hdl.stream.SkidBuffer."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketSignature, SkidBuffer
from tb.prove import Proof

from .rules import assert_stream, assume_stream
from .tracker import Tracker

__all__ = ["PROOFS"]


class _Watched(SkidBuffer):
    """A buffer that shows the beat that waits."""

    @property
    def waiting_beat(self) -> Value:
        """What waits, if ``i.ready`` is low."""
        return Value.cast(self._waiting)


class _Order(wiring.Component):
    """A buffer that never loses, changes or reorders a beat, and never holds more than two."""

    i: stream.Interface
    o: stream.Interface
    choose: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {"i": In(PacketSignature(1)), "o": Out(PacketSignature(1)), "choose": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = _Watched(data_bytes=1)
        m.submodules.tracker = tracker = Tracker(width=len(Value.cast(self.i.payload)), capacity=2)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.d.comb += [
            tracker.choose.eq(self.choose),
            tracker.enter.eq(self.i.valid & self.i.ready),
            tracker.entering.eq(Value.cast(self.i.payload)),
            tracker.leave.eq(self.o.valid & self.o.ready),
        ]
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(
                    tracker.level == self.o.valid + (self.i.ready == 0), "wrong number of beats"
                ),
                Assert(self.o.valid | self.i.ready, "a beat waits behind none"),
            ]
            with m.If(tracker.inside):
                m.d.comb += Assert(tracker.ahead < tracker.level, "followed beat is lost")
                with m.If(tracker.ahead == 0):
                    m.d.comb += Assert(
                        Value.cast(self.o.payload) == tracker.payload, "another beat leaves"
                    )
                with m.Else():
                    m.d.comb += Assert(buffer.waiting_beat == tracker.payload, "wrong beat waits")
        if self.cover:
            m.d.comb += Cover((tracker.level == 2) & tracker.inside, "two beats")
        return m


PROOFS = [
    Proof("stream.SkidBuffer/order, no loss, stream rules", _Order, depth=2),
    Proof("stream.SkidBuffer/fills", lambda: _Order(cover=True), depth=8, mode="cover"),
]
