"""Proofs of hdl.stream.PacketQueue."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketQueue, PacketSignature
from tb.prove import Proof

from .queue_proof import addresses_from
from .rules import assert_stream
from .tracker import Tracker

__all__ = ["PROOFS"]


class _Watched(PacketQueue):
    """A packet queue whose state is tied, by invariants, to what a :class:`Tracker` sees.

    The tracker counts the beats of a packet as they come and forgets them all if it is dropped.
    """

    def __init__(self, depth: int):
        super().__init__(data_bytes=1, depth=depth)
        self.tracker = Tracker(width=self._width, capacity=self.rows + 2)
        self.partial = Signal.like(self.tracker.level)  # beats of the packet that is coming in

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.tracker = tracker = self.tracker
        memory = m.submodules.memory

        missing = Signal()  # a beat of the packet that is coming in was not stored
        stored = memory.write_ports[0].en
        whole = Signal()
        m.d.comb += [
            whole.eq(stored & ~missing & ~self.i.p.error),
            tracker.entering.eq(Cat(self.i.p.data, self.i.p.keep, self.i.p.last)),
            tracker.leave.eq(self.o.valid & self.o.ready),
            tracker.enter.eq(stored & (whole | ~self.i.p.last)),
        ]
        must_error = Signal()
        must_full = Signal()
        m.d.sync += [must_error.eq(0), must_full.eq(0)]
        with m.If(self.i.valid):
            m.d.sync += [missing.eq(missing | ~stored), self.partial.eq(self.partial + stored)]
            with m.If(self.i.p.last):
                m.d.sync += [
                    missing.eq(0),
                    self.partial.eq(0),
                    must_error.eq(self.i.p.error),
                    must_full.eq(~self.i.p.error & (missing | ~stored)),
                ]
                with m.If(~whole):
                    m.d.comb += tracker.forget.eq(self.partial)

        outside = Signal(2)
        in_memory = Signal.like(tracker.level)
        nth = addresses_from(m, "after_read", self._read_address, self.rows + 1)
        peek = memory.read_port(domain="comb")
        write_is_right = Signal()
        whole_is_right = Signal()
        m.d.comb += [
            outside.eq(self._fetched + self.o.valid),
            in_memory.eq(tracker.level - outside),
        ]
        with m.Switch(in_memory):
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += write_is_right.eq(self._write_address == address)
        with m.Switch(in_memory - self.partial):
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += whole_is_right.eq(self._whole_address == address)
        with m.Switch(tracker.ahead - outside):
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += peek.addr.eq(address)

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(self.i.ready, "the input is refused"),
                Assert(tracker.level >= outside + self.partial, "part of a packet leaves"),
                Assert(in_memory <= self.rows, "more beats than rows"),
                Assert(self._empty == (in_memory == self.partial), "empty is wrong"),
                Assert(self._overflowed == missing, "a missing beat is not noted"),
                Assert(~self._read_address.all(), "address is stuck"),
                Assert(write_is_right, "write address does not fit the level"),
                Assert(whole_is_right, "address of the incoming packet does not fit the level"),
                Assert(
                    ~self.i.valid | stored | missing | (in_memory == self.rows),
                    "a beat is refused a free row",
                ),
                Assert(
                    ~stored | self._empty | (self._write_address != self._read_address),
                    "a row is read while it is written",
                ),
                Assert(~self.o.valid | ~self.o.p.error, "a damaged packet leaves"),
                Assert(self.dropped_error == must_error, "wrong event: error"),
                Assert(self.dropped_full == must_full, "wrong event: full"),
            ]
            with m.If(tracker.inside):
                m.d.comb += Assert(tracker.ahead < tracker.level, "followed beat is lost")
                with m.If(tracker.ahead >= outside):
                    m.d.comb += Assert(peek.data == tracker.payload, "memory lost the beat")
                with m.Elif(self.o.valid & (tracker.ahead == 0)):
                    m.d.comb += Assert(self._row == tracker.payload, "another beat leaves")
                with m.Else():
                    m.d.comb += Assert(self._fetched_row == tracker.payload, "wrong fetch")
        return m


class _WholePackets(wiring.Component):
    """A queue from which whole good packets leave, and every drop has its reason and event."""

    i: stream.Interface
    o: stream.Interface
    choose: Signal

    def __init__(self, depth: int, *, cover: bool = False):
        self.depth = depth
        self.cover = cover
        super().__init__(
            {"i": In(PacketSignature(1)), "o": Out(PacketSignature(1)), "choose": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = _Watched(self.depth)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += queue.tracker.choose.eq(self.choose)
        assert_stream(m, "o", self.o)
        if self.cover:
            # Both events, then a packet of two beats, of which the followed one is the second.
            seen = Signal(2)
            second = Signal()
            m.d.sync += seen.eq(seen | Cat(queue.dropped_error, queue.dropped_full))
            with m.If(queue.tracker.inside & (queue.tracker.ahead == 1) & (queue.partial == 0)):
                m.d.sync += second.eq(1)
            m.d.comb += Cover(seen.all() & second & (queue.tracker.level == 0), "all events")
        return m


PROOFS = [
    Proof(
        "stream.PacketQueue/whole good packets in order, no loss, stream rules",
        lambda: _WholePackets(6),
        depth=2,
    ),
    Proof(
        "stream.PacketQueue/both events and a packet",
        lambda: _WholePackets(2, cover=True),
        depth=25,
        mode="cover",
    ),
]
