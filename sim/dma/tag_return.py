"""Golden model of hdl.dma.TagReturn."""

__all__ = ["TagReturnModel"]


class TagReturnModel:
    """Which tags may be given back in a quarter of the timeout, counted without wrapping."""

    def __init__(self):
        #: Of each tag that was delivered, its client, and the quarter from which on it is free.
        self.waiting: dict[int, tuple[int, int]] = {}

    def deliver(self, client: int, tag: int, *, is_late: bool, quarter: int) -> None:
        """Note that ``tag`` was delivered; if its read was late, an answer may still come."""
        assert tag not in self.waiting
        self.waiting[tag] = (client, quarter + 5 if is_late else quarter)

    def give(self, client: int, tag: int, *, quarter: int) -> None:
        """Check that ``tag`` may be given back for ``client``."""
        owner, earliest = self.waiting.pop(tag)
        assert owner == client, f"tag {tag} of client {owner} goes to client {client}"
        assert quarter >= earliest, f"tag {tag} comes {earliest - quarter} quarters too early"

    def overdue(self, quarter: int) -> list[int]:
        """List tags that should have been given back before this quarter."""
        return [tag for tag, (_, earliest) in self.waiting.items() if earliest < quarter]
