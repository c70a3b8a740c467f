"""Golden models of hdl.bits.PriorityPicker and RoundRobinPicker."""

from collections.abc import Collection

__all__ = ["PriorityPickerModel", "RoundRobinPickerModel"]


class PriorityPickerModel:
    """The lowest index wins."""

    def pick(self, waiting: Collection[int]) -> int:
        """Index granted when those in ``waiting`` request."""
        return min(waiting)

    def take(self, index: int) -> None:
        """Note that the grant of ``index`` was used: it changes nothing."""


class RoundRobinPickerModel:
    """Turns go around, beginning with index 0."""

    def __init__(self, request_count: int):
        self.request_count = request_count
        self.turn = 0

    def pick(self, waiting: Collection[int]) -> int:
        """Index granted when those in ``waiting`` request."""
        return min(waiting, key=lambda index: (index - self.turn) % self.request_count)

    def take(self, index: int) -> None:
        """Note that the grant of ``index`` was used: the next index has the turn."""
        self.turn = (index + 1) % self.request_count
