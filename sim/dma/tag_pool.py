"""Golden model of hdl.dma.TagPool."""

__all__ = ["TagPoolModel"]


class TagPoolModel:
    """Who may take a tag, and who holds which."""

    def __init__(self, *, client_count: int, tag_count: int, reserve: int):
        self.tag_count = tag_count
        self.reserve = reserve
        #: Tags that each client has, or that its chosen pieces wait for.
        self.counts = [0] * client_count
        self.held: set[int] = set()
        self._last: int | None = None

    def is_allowed(self, client: int) -> bool:
        """Whether, after one more for ``client``, every client can still have its reserve."""
        after = list(self.counts)
        after[client] += 1
        return sum(max(count, self.reserve) for count in after) <= self.tag_count

    def take(self, client: int) -> None:
        """Count a piece of ``client`` that is chosen."""
        assert self.is_allowed(client), f"client {client} takes the reserve of another"
        self.counts[client] += 1

    def hand_out(self, tag: int) -> None:
        """Note that a tag goes to a piece."""
        assert tag not in self.held, f"tag {tag} is handed out twice"
        assert 0 <= tag < self.tag_count, f"there is no tag {tag}"
        self.held.add(tag)
        self._last = tag

    def give(self, client: int, tag: int) -> None:
        """Take back a tag of ``client``."""
        self.held.remove(tag)
        self.counts[client] -= 1

    def breaks_turn(self, tag: int) -> bool:
        """Whether ``tag`` is in the same half as the one handed out last."""
        return self._last is not None and (self._last - tag) % 2 == 0
