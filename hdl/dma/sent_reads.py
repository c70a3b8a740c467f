"""Whether reads that were handed over have been sent."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SentReads"]


class SentReads(wiring.Component):
    """Tell again and again that all reads that had been handed over by then have been sent.

    Reads may wait for credits between the two, in order. Their tags must not rest for a time
    that they spend there.

    Latency is 2 cycles. Throughput is any.

    Specification: this docstring.

    Parameters
    ----------
    most : int
        Reads that may be under way between the two.
    lane_count : int
        Reads that may be sent in a cycle.

    Members
    -------
    taken : In(1)
        Strobe: one was handed over.
    sent : In(range(lane_count + 1))
        Strobe: so many were sent.
    clear : In(1)
        What was handed over is lost.
    passed : Out(1)
        Strobe, registered: what had been handed over when this was last set has been sent.

    Raises
    ------
    ValueError
        If ``most`` is less than 1.
    """

    taken: Signal
    sent: Signal
    clear: Signal
    passed: Signal

    def __init__(self, *, most: int, lane_count: int):
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most!r}")
        self.most = most
        super().__init__(
            {
                "taken": In(1),
                "sent": In(range(lane_count + 1)),
                "clear": In(1),
                "passed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # With a bit more than the count of those under way needs, differences have a sign.
        taken = Signal(self.most.bit_length() + 1)
        sent = Signal.like(taken)
        mark = Signal.like(taken)
        left = Signal.like(taken)
        m.d.comb += left.eq(sent - mark)
        m.d.sync += [
            taken.eq(taken + self.taken),
            sent.eq(sent + self.sent),
            self.passed.eq(~left[-1]),
        ]
        with m.If(self.passed):
            m.d.sync += [mark.eq(taken), self.passed.eq(0)]
        with m.If(self.clear):
            m.d.sync += [taken.eq(0), sent.eq(0), mark.eq(0)]
        return m
