"""Golden model of hdl.pcie.Fence."""

__all__ = ["FenceModel"]


class FenceModel:
    """One item at a time, and the rows that come and leave beside it, by number."""

    def __init__(self):
        self.came = 0
        self.left = 0
        #: Rows that must have left before the item that is offered.
        self.needs: int | None = None

    def offer(self) -> None:
        """Note that an item is there: all rows that have come are in front of it."""
        if self.needs is None:
            self.needs = self.came

    def forget(self) -> None:
        """Note that the item has passed, or is no longer offered."""
        self.needs = None

    @property
    def passes(self) -> bool:
        """Whether the item may pass."""
        return self.needs is not None and self.left >= self.needs
