"""Puts requests that are headers only together, as many as a beat has lanes."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import SEGMENT_DWORDS, TlpBeatLayout, TlpHeaderLayout

__all__ = ["ReadGather"]


class ReadGather(wiring.Component):
    """Make beats of headers: full ones while others wait in front of them, else at once.

    Latency is 1 cycle if nothing waits. Throughput is 1 header per cycle.

    Specification: this docstring.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.

    Members
    -------
    i : In(stream.Signature(TlpHeaderLayout()))
        Headers of TLPs without data, prefix or digest. ``i.ready`` depends combinationally on
        ``o.ready`` and ``hurry``.
    hurry : In(1)
        What has been gathered goes, full or not; only while ``o.ready``.
    clear : In(1)
        Forget everything.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Beats; ``o.valid`` depends combinationally on ``hurry``, the payload is registered.
    """

    i: stream.Interface
    hurry: Signal
    clear: Signal
    o: stream.Interface

    def __init__(self, *, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(stream.Signature(TlpHeaderLayout())),
                "hurry": In(1),
                "clear": In(1),
                "o": Out(stream.Signature(TlpBeatLayout(segment_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = Signal(self.segment_count)
        leaves = Signal()
        m.d.comb += [
            self.o.valid.eq(valid[-1] | (valid[0] & self.hurry)),
            self.o.p.valid.eq(valid),
            leaves.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(leaves | ~valid[-1]),
        ]
        with m.If(leaves):
            m.d.sync += valid.eq(self.i.valid)
        with m.Elif(self.i.valid & ~valid[-1]):
            m.d.sync += valid.eq(Cat(C(1, 1), valid)[: self.segment_count])
        with m.If(self.clear):
            m.d.sync += valid.eq(0)
        for n in range(self.segment_count):
            header = Signal(TlpHeaderLayout(), name=f"header_{n}", reset_less=True)
            segment: Any = self.o.p.segments[n]
            m.d.comb += [
                segment.header.eq(header),
                segment.sop.eq(1),
                segment.eop.eq(1),
                segment.empty.eq(SEGMENT_DWORDS),
            ]
            is_next = ~valid[n] & valid[n - 1] & ~leaves if n else ~valid[0] | leaves
            with m.If(is_next):
                m.d.sync += header.eq(self.i.p)
        return m
