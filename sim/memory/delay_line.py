"""Golden model of hdl.memory.DelayLine."""

from collections import deque

__all__ = ["DelayLineModel"]


class DelayLineModel:
    """A queue that always holds ``cycles`` values."""

    def __init__(self, cycles: int):
        self.values: deque[int | None] = deque([None] * cycles, cycles)

    def step(self, value: int) -> int | None:
        """Take the value of this cycle; return the one that leaves, None where undefined."""
        leaving = self.values[0]
        self.values.append(value)
        return leaving
