"""Golden model of hdl.stream.Limiter."""

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["LimiterModel"]


class LimiterModel:
    """Bounds on what a token bucket lets pass; ``rate`` in bytes per cycle."""

    def __init__(self, rate: Fraction, burst: int, data_bytes: int):
        self.rate = rate
        self.burst = burst
        self.data_bytes = data_bytes

    def excess(self, transfers: Sequence[tuple[int, int]], longest: int) -> Fraction:
        """Bytes by which ``transfers`` exceed the bound in the worst interval; 0 or less is good.

        A transfer is a cycle and the bytes that pass in it; ``longest`` are the bytes of the
        longest packet. An interval of T cycles passes T x rate + burst + longest + one beat.
        """
        allowance = self.burst + longest + self.data_bytes
        worst = Fraction(-allowance)
        # The greatest sum over an interval, each cycle costing `rate`: one pass.
        running = Fraction(0)
        before = None
        for cycle, size in transfers:
            idle = 0 if before is None else cycle - before - 1
            running = max(running - idle * self.rate, Fraction(0)) + size - self.rate
            worst = max(worst, running - allowance)
            before = cycle
        return worst
