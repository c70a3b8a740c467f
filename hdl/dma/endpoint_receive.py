"""Receive side of an endpoint's transaction layer."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie import ReceiveCredits, TlpBuffer, TlpCheck
from ..pcie.crosspoint import rows_needed
from ..pcie.port import CreditCountsLayout
from ..pcie.tlp import TlpBeatLayout, TlpClass, class_of
from ..stream import Queue
from .credit_return import CreditReturn

__all__ = ["EndpointReceive"]


class EndpointReceive(wiring.Component):
    """Check what an endpoint receives, and queue completions apart from requests.

    What comes out is whole and well formed. Nothing stops what comes in: each TLP has credits, and
    the queues have rows for all that are advertised, so neither queue ever holds up the other. A
    beat's lanes of one queue are one row of it; the others are idle. In ``requests``, posted and
    non-posted TLPs are in the order in which they came.

    Credits return when a TLP's last segment leaves, of all of it.

    While the link is down ``rx`` is ignored; what is in the queues stays, and leaves as before.

    Latency is 9 cycles from a TLP's last beat to its first one on ``completions`` or ``requests``.
    Throughput is 1 beat per cycle.

    Specification: PCI Express Base Specification, 2.3.1 (handling of received TLPs), 2.4.1
    (ordering: completions may pass non-posted requests; that they do not pass posted ones is up to
    who takes ``requests``), 2.6.1 (flow control).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    credits : sequence of 3 pairs
        Header and data credits that are advertised, by class; see :class:`ReceiveCredits`.
    max_payload_bytes : int
        Longest payload, a power of two from 128 to 4096.

    Members
    -------
    rx : In(TlpBeatLayout(segment_count))
        The port's ``rx``.
    link_up : In(1)
        The port's ``link_up``.
    allocated : Out(CreditCountsLayout())
        The port's ``rx_credits``. Registered.
    drained : Out(1)
        The port's ``rx_drained``. Registered.
    completions, requests : Out(stream.Signature(TlpBeatLayout(segment_count)))
        What came. Registered.
    malformed, overflow, nullified : Out(range(segment_count + 2))
        How many TLPs ended in the check in this cycle. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    rx: Any
    link_up: Signal
    allocated: Any
    drained: Signal
    completions: stream.Interface
    requests: stream.Interface
    malformed: Signal
    overflow: Signal
    nullified: Signal

    def __init__(
        self, *, segment_count: int, credits: Sequence[Sequence[int]], max_payload_bytes: int
    ):
        beat = TlpBeatLayout(segment_count)
        self.segment_count = segment_count
        self.check = TlpCheck(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self.buffer = TlpBuffer(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self.credits = ReceiveCredits(advertised=credits, source_count=3)
        rows = [rows_needed(segment_count, *pair) for pair in self.credits.advertised]
        # A row of requests has a lane of one of the two classes, so it is a row of that class.
        self.completion_rows = rows[TlpClass.COMPLETION.value]
        self.request_rows = rows[TlpClass.POSTED.value] + rows[TlpClass.NON_POSTED.value]
        count = range(segment_count + 2)
        super().__init__(
            {
                "rx": In(beat),
                "link_up": In(1),
                "allocated": Out(CreditCountsLayout()),
                "drained": Out(1),
                "completions": Out(stream.Signature(beat)),
                "requests": Out(stream.Signature(beat)),
                "malformed": Out(count),
                "overflow": Out(count),
                "nullified": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.check = check = self.check
        m.submodules.buffer = buffer = self.buffer
        m.submodules.credits = credits = self.credits
        m.d.comb += [
            check.i.eq(self.rx),
            check.flush.eq(~self.link_up),
            check.room.eq(credits.room),
            check.returning.eq(credits.returning),
            credits.room_left.eq(check.room_left),
            credits.link_up.eq(self.link_up),
            credits.returned[0].eq(check.dropped),
            buffer.i.eq(check.o),
            self.allocated.eq(credits.allocated),
            self.drained.eq(credits.drained),
            self.malformed.eq(check.malformed),
            self.overflow.eq(check.overflow),
            self.nullified.eq(check.nullified),
        ]

        # Which lanes are completions; a TLP that leaves the beat is in its last lane.
        count = self.segment_count
        segments = Signal.like(Value.cast(buffer.o.segments), reset_less=True)
        m.d.sync += segments.eq(Value.cast(buffer.o.segments))
        open_is_completion = Signal(reset_less=True)
        is_completion = Signal(count)
        for n, segment in enumerate(buffer.o.segments):
            of_sop = class_of(segment.header) == TlpClass.COMPLETION.value
            before = is_completion[n - 1] if n else open_is_completion
            m.d.comb += is_completion[n].eq(Mux(segment.sop, of_sop, before))
        with m.If(buffer.o.valid[-1]):
            m.d.sync += open_is_completion.eq(is_completion[-1])

        for place, (name, o, rows, lanes) in enumerate(
            (
                ("completions", self.completions, self.completion_rows, is_completion),
                ("requests", self.requests, self.request_rows, ~is_completion),
            )
        ):
            queue = Queue(shape=TlpBeatLayout(count), depth=max(2, rows))
            m.submodules[f"{name}_queue"] = queue
            m.submodules[f"{name}_credits"] = leaving = CreditReturn(segment_count=count)
            valid = Signal(count, name=f"{name}_valid")
            m.d.sync += valid.eq(buffer.o.valid & lanes)
            m.d.comb += [
                queue.i.p.valid.eq(valid),
                Value.cast(queue.i.p.segments).eq(segments),
                queue.i.valid.eq(valid.any()),
                Value.cast(leaving.i.segments).eq(Value.cast(o.p.segments)),
                leaving.i.valid.eq(o.p.valid & (o.valid & o.ready).replicate(count)),
                credits.returned[1 + place].eq(leaving.freed),
            ]
            # There is a row for what has credits: `queue.i.ready` is not looked at.
            wiring.connect(m, queue.o, wiring.flipped(o))
        return m
