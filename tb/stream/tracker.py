"""Follow one payload through a queue, for proofs of order and loss."""

from amaranth import *

__all__ = ["Tracker"]


class Tracker(Elaboratable):
    """Count what is in a queue and follow one payload, whichever the solver chooses.

    What holds for the one it follows holds for every payload, since the choice is free.

    Attributes
    ----------
    choose : Signal, in
        Follow the payload that enters in this cycle, if none is followed; left to the solver.
    enter, leave : Signal, in
        A payload enters, leaves the queue.
    entering : Signal, in
        Payload that enters.
    forget : Signal, in
        Number of payloads, the last that entered, that vanish in this cycle; none enters then.
    level : Signal, out
        Payloads in the queue.
    inside : Signal, out
        The followed payload is in the queue.
    ahead : Signal, out
        Payloads that leave before it.
    payload : Signal, out
        What it must be when it leaves.
    """

    def __init__(self, *, width: int, capacity: int):
        self.choose = Signal()
        self.enter = Signal()
        self.leave = Signal()
        self.entering = Signal(width)
        # Wide enough to count one too many: an overflow must be seen, not wrapped away.
        self.level = Signal(range(2 * capacity + 2))
        self.forget = Signal.like(self.level)
        self.inside = Signal()
        self.ahead = Signal.like(self.level)
        self.payload = Signal(width)

    def elaborate(self, platform):
        """Build the counters."""
        m = Module()
        m.d.sync += self.level.eq(self.level + self.enter - self.leave - self.forget)
        with m.If(self.enter & self.choose & ~self.inside):
            m.d.sync += [
                self.inside.eq(1),
                self.ahead.eq(self.level - self.leave),
                self.payload.eq(self.entering),
            ]
        with m.If(self.inside & self.leave):
            m.d.sync += [self.ahead.eq(self.ahead - 1), self.inside.eq(self.ahead != 0)]
        with m.If(self.inside & (self.ahead >= self.level - self.forget)):
            m.d.sync += self.inside.eq(0)
        return m
