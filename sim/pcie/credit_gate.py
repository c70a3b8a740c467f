"""Golden model of CreditGate: the transmitter's side of flow control."""

from collections.abc import Sequence

__all__ = ["CreditGateModel"]


class CreditGateModel:
    """Limits, consumed counts and gating of one link, from its coming up to its going down.

    Counts are Python integers without end; only limits are cut to the partner's fields.

    Parameters
    ----------
    scale : int
        0, 1 or 2: fields are in units of 1, 4, 16.
    infinite : sequence of bool
        For headers and data of posted, non-posted and completions, in this order.
    """

    def __init__(self, scale: int, infinite: Sequence[bool]):
        self.unit = 4**scale
        self.infinite = tuple(infinite)
        self.ranges = [self.unit * 2**bits for bits in (8, 12)] * 3
        self.limits = [0] * 6
        self.consumed = [0] * 6

    def update(self, index: int, limit: int) -> bool:
        """Take a limit, of which only the field counts; tell whether it was one to take."""
        size = self.ranges[index]
        field = limit % size // self.unit * self.unit
        new = self.limits[index] + (field - self.limits[index]) % size
        if new - self.consumed[index] > size // 2:
            return False
        self.limits[index] = new
        return True

    def available(self, index: int) -> int | None:
        """Credits left, None if without limit."""
        return None if self.infinite[index] else self.limits[index] - self.consumed[index]

    def spend(self, index: int, amount: int) -> None:
        """Count what was sent.

        Raises
        ------
        ValueError
            If there is not that much.
        """
        left = self.available(index)
        if left is None:
            return
        if amount > left:
            raise ValueError(f"spent {amount} of {left}")
        self.consumed[index] += amount
