"""Golden model of when reads that were handed over have been sent."""

__all__ = ["SentReadsModel"]


class SentReadsModel:
    """Count reads; say if a strobe is right now.

    Attributes
    ----------
    under_way : int
        Reads that were handed over and not sent.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self._old = 0

    def take(self) -> None:
        """Hand one over."""
        self.under_way += 1

    def send(self, count: int) -> None:
        """Send the oldest ``count``."""
        self.under_way -= count
        self._old = max(0, self._old - count)

    def clear(self) -> None:
        """Lose all."""
        self.under_way = self._old = 0

    def is_right(self) -> bool:
        """Whether all that was under way at the last strobe that was right has been sent."""
        if self._old:
            return False
        self._old = self.under_way
        return True
