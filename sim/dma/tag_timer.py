"""Golden model of hdl.dma.TagTimer."""

from dataclasses import dataclass

__all__ = ["FailedRead", "TagTimerModel"]


@dataclass(frozen=True)
class FailedRead:
    """A failure: of which tag, whether since the link went down or because it took too long."""

    tag: int
    is_link: bool


class TagTimerModel:
    """Book of the reads that are out: which must fail, and when at the earliest and the latest.

    Parameters
    ----------
    slack : int
        Cycles that rounds and failures of others may add.
    """

    def __init__(self, *, slack: int):
        self.slack = slack
        self.timeout = 0
        #: Cycle in which each tag was issued.
        self.issued: dict[int, int] = {}
        #: Tags that must fail with LINK_DOWN, and since when.
        self.lost: dict[int, int] = {}
        self.failed: set[int] = set()

    def issue(self, tag: int, cycle: int, *, is_sent: bool) -> None:
        """Begin a read; one that is not sent fails."""
        assert tag not in self.issued, f"tag {tag} is issued while it is out"
        self.issued[tag] = cycle
        if not is_sent:
            self.lost[tag] = cycle

    def link_down(self, cycle: int) -> None:
        """Note that the link is down in this cycle."""
        for tag in self.issued.keys() - self.failed:
            self.lost.setdefault(tag, cycle)

    def fail(self, failure: FailedRead, cycle: int) -> None:
        """Check ``failure``, which comes to be offered."""
        assert failure.tag in self.issued, f"tag {failure.tag} fails but was not issued"
        assert failure.tag not in self.failed, f"tag {failure.tag} fails twice"
        self.failed.add(failure.tag)
        if failure.is_link:
            assert failure.tag in self.lost, f"tag {failure.tag}: its link was not down"
        else:
            # What decided a few cycles ago that it was late did not know of the link yet.
            assert self.lost.get(failure.tag, cycle) >= cycle - 3, f"tag {failure.tag}: not late"
            waited = cycle - self.issued[failure.tag]
            assert waited >= self.timeout, f"tag {failure.tag} fails after {waited}"

    def end(self, tag: int) -> None:
        """Forget a read that has ended, failed or not."""
        del self.issued[tag]
        self.lost.pop(tag, None)
        self.failed.discard(tag)

    def overdue(self, cycle: int) -> list[int]:
        """List tags that should have failed by now."""
        limit = self.timeout + self.timeout // 4 + self.slack
        late = {tag for tag, since in self.issued.items() if cycle - since > limit}
        late |= {tag for tag, since in self.lost.items() if cycle - since > self.slack}
        return sorted(late - self.failed)
