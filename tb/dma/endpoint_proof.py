"""Proofs of the parts of hdl.dma.EndpointTransmit."""

from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import EndpointTransmit, SendQueue
from hdl.pcie.tlp import TlpBeatLayout, TlpHeaderLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_ROWS = 3
_COUNT_BITS = 3


class _Rows(wiring.Component):
    """A queue whose user takes no more rows than it was offered.

    Whatever comes in, the four places stay in their order, so that no row is written before it is
    free, or read before it is written.
    """

    i: stream.Interface
    wait_for: Signal
    left: Signal
    ready: Signal
    take: Signal
    take_last: Signal
    clear: Signal

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(TlpBeatLayout(1))),
                "wait_for": In(_COUNT_BITS),
                "left": In(_COUNT_BITS),
                "ready": In(1),
                "take": In(1),
                "take_last": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SendQueue(
            segment_count=1, rows=_ROWS, count_bits=_COUNT_BITS, carries_data=False
        )
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        m.d.comb += [
            queue.wait_for.eq(self.wait_for),
            queue.left.eq(self.left),
            queue.o.ready.eq(self.ready),
            queue.take.eq(self.take),
            queue.take_last.eq(self.take_last),
            queue.clear.eq(self.clear),
        ]
        # Last parts that were accepted and not taken.
        owed = Signal(range(_ROWS + 2))
        accepted = queue.o.valid & self.ready & queue.o.p.last
        m.d.sync += owed.eq(owed + accepted - (self.take & self.take_last))
        with m.If(self.clear):
            m.d.sync += owed.eq(0)
        offered = queue.o.valid & queue.o.p.last

        def between(behind: Value, ahead: Value) -> Value:
            return Mux(ahead >= behind, ahead - behind, ahead + (_ROWS + 1) - behind)

        used = Signal(range(_ROWS + 2))
        read = Signal.like(used)
        walked = Signal.like(used)
        m.d.comb += [
            used.eq(between(queue.free_place, queue.write_place)),
            read.eq(between(queue.free_place, queue.read_place)),
            walked.eq(between(queue.free_place, queue.walk_place)),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~(self.take & self.take_last) | owed.any(), "takes what it was offered"),
                Assert(queue.room == _ROWS - used, "rows are counted wrongly"),
                Assert(read == owed + offered, "a row is read twice, or not at all"),
                Assert((read <= walked) & (walked <= used), "a row is passed"),
                *(
                    Assert(place <= _ROWS, "no such row")
                    for place in (
                        queue.write_place,
                        queue.walk_place,
                        queue.read_place,
                        queue.free_place,
                    )
                ),
            ]
        return m


class _Carried(wiring.Component):
    """A transmit side, whatever it sends: rows on the way to the packer have a place there."""

    writes: stream.Interface
    answers: stream.Interface
    reads: stream.Interface
    infinite: Signal
    link_up: Signal
    ready: Signal

    def __init__(self):
        beat = stream.Signature(TlpBeatLayout(1))
        super().__init__(
            {
                "writes": In(beat),
                "answers": In(beat),
                "reads": In(stream.Signature(TlpHeaderLayout())),
                "infinite": In(6),
                "link_up": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmit = transmit = EndpointTransmit(
            segment_count=1, max_payload_bytes=128, read_rows=2
        )
        for name in ("writes", "answers", "reads"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(transmit, name))
        m.d.comb += [
            transmit.infinite.eq(self.infinite),
            transmit.link_up.eq(self.link_up),
            transmit.o.ready.eq(self.ready),
        ]
        carried = transmit.write_place - transmit.read_place
        with m.If(~ResetSignal()):
            m.d.comb += Assert(
                transmit.room + carried[: len(transmit.write_place)] + transmit.taken.any() == 4,
                "a row has no place",
            )
        return m


PROOFS = [
    Proof("dma.Endpoint/no row is written before it is free", _Rows, depth=3),
    Proof("dma.Endpoint/rows on the way have a place", _Carried, depth=2),
]
