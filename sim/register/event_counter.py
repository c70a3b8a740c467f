"""Golden model of hdl.register.EventCounter."""

from collections.abc import Iterable

__all__ = ["EventCounterModel"]


class EventCounterModel:
    """Total of events, in a width that it wraps or saturates at."""

    def __init__(self, *, bits: int, saturates: bool):
        self.bits = bits
        self.saturates = saturates
        self.total = 0

    def count(self, increments: Iterable[int]) -> list[int]:
        """Totals after each of the increments."""
        totals = []
        for increment in increments:
            self.total += increment
            if self.saturates:
                self.total = min(self.total, 2**self.bits - 1)
            self.total %= 2**self.bits
            totals.append(self.total)
        return totals
