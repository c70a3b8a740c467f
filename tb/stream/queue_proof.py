"""Proofs of hdl.stream.Queue, and so of BeatQueue."""

from functools import partial

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import Queue
from hdl.stream.queue import next_address
from tb.prove import Proof

from .rules import assert_stream, assume_stream
from .tracker import Tracker

__all__ = ["PROOFS", "addresses_from"]

DEPTH = 2
WIDTH = 2


def addresses_from(m: Module, name: str, first: Value, count: int) -> list[Value]:
    """``first`` and the addresses that follow it, ``count`` in all."""
    addresses = [first]
    for number in range(1, count):
        after = Signal(len(first), name=f"{name}_{number}")
        m.d.comb += after.eq(next_address(addresses[-1]))
        addresses.append(after)
    return addresses


class _Watched(Queue):
    """A queue whose state is tied, by invariants, to what a :class:`Tracker` sees."""

    def __init__(self, **options: bool):
        super().__init__(shape=WIDTH, depth=DEPTH, **options)
        self.tracker = Tracker(width=WIDTH, capacity=self.capacity + self.half_rate)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.tracker = tracker = self.tracker
        m.d.comb += [
            tracker.enter.eq(self.i.valid & self.i.ready),
            tracker.entering.eq(self.i.payload),
            tracker.leave.eq(self.o.valid & self.o.ready),
        ]
        rows = (1 << self.address_bits) - 1
        outside = Signal(2)
        in_memory = Signal.like(tracker.level)
        peek = m.submodules.memory.read_port(domain="comb")
        nth = addresses_from(m, "after_read", self._read_address, rows)
        wrong_distance = Signal()
        m.d.comb += [
            outside.eq(self._fetched + self.o.valid),
            in_memory.eq(tracker.level - outside),
            wrong_distance.eq(self._write_address != self._read_address),
        ]
        with m.Switch(in_memory):
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += wrong_distance.eq(self._write_address != address)
        with m.Switch(tracker.ahead - outside):
            for distance, address in enumerate(nth):
                with m.Case(distance):
                    m.d.comb += peek.addr.eq(address)

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(tracker.level >= outside, "fewer payloads than leave the memory"),
                Assert(in_memory <= rows, "more payloads than rows"),
                # What is outside comes first, so a full memory means a full queue.
                Assert((in_memory < 2) | (outside >= self.outside), "room outside"),
                Assert(self._empty == (in_memory == 0), "empty is wrong"),
                Assert(self._full == (in_memory == rows) & ~C(self.counted, 1), "full is wrong"),
                Assert(~self._read_address.all() & ~self._write_address.all(), "address is stuck"),
                Assert(
                    ~tracker.enter | self._empty | (self._write_address != self._read_address),
                    "a row is read while it is written",
                ),
                Assert(~wrong_distance, "addresses do not fit the level"),
            ]
            with m.If(tracker.inside):
                m.d.comb += Assert(tracker.ahead < tracker.level, "followed payload is lost")
                with m.If(tracker.ahead >= outside):
                    m.d.comb += Assert(peek.data == tracker.payload, "memory lost the payload")
                with m.Elif(self.o.valid & (tracker.ahead == 0)):
                    m.d.comb += Assert(self.o.payload == tracker.payload, "another payload leaves")
                with m.Else():
                    m.d.comb += Assert(self._fetched_payload == tracker.payload, "wrong fetch")
        return m


class _Order(wiring.Component):
    """A queue that never overflows, loses, changes or reorders a payload.

    If it is ``counted``, its user puts nothing in while there are as many as it holds.
    """

    i: stream.Interface
    o: stream.Interface
    choose: Signal

    def __init__(self, *, cover: bool = False, **options: bool):
        self.cover = cover
        self.options = options
        super().__init__(
            {
                "i": In(stream.Signature(WIDTH)),
                "o": Out(stream.Signature(WIDTH)),
                "choose": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = _Watched(**self.options)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += queue.tracker.choose.eq(self.choose)
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)
        if queue.counted:
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Assume(~self.i.valid | (queue.tracker.level < queue.capacity), "counts"),
                    Assert(self.i.ready, "refuses"),
                ]
        if self.cover:
            # Filled to capacity, then drained: the followed payload was the last one in.
            tracker = queue.tracker
            was_full = Signal()
            with m.If((tracker.level == queue.capacity) & tracker.inside):
                m.d.sync += was_full.eq(tracker.ahead == queue.capacity - 1)
            m.d.comb += Cover(was_full & (tracker.level == 0) & (tracker.payload == 2), "drained")
        return m


_KINDS: dict[str, dict[str, bool]] = {
    "": {},
    ", if its user counts": {"counted": True},
    ", if shallow": {"shallow": True},
    ", if shallow and its user counts": {"counted": True, "shallow": True},
    ", at half the rate": {"half_rate": True},
    ", at half the rate, if its user counts": {"half_rate": True, "counted": True},
    ", at half the rate, if shallow": {"half_rate": True, "shallow": True},
}
PROOFS = [
    proof
    for kind, options in _KINDS.items()
    for proof in (
        Proof(
            f"stream.Queue/order, no loss, no overflow, stream rules{kind}",
            partial(_Order, **options),
            depth=2,
        ),
        Proof(
            f"stream.Queue/fills and drains{kind}",
            partial(_Order, cover=True, **options),
            depth=20,
            mode="cover",
        ),
    )
]
