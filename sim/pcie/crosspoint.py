"""Golden model of hdl.pcie.Crosspoint."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .tlp import Kind, Tlp, TlpClass

__all__ = ["CrosspointModel", "CrosspointRow", "Part"]


@dataclass(frozen=True)
class Part:
    """A segment: the 32 bytes from ``32 * number`` of a TLP's payload and digest."""

    tlp: Tlp
    number: int

    @property
    def begins(self) -> bool:
        """Whether it is the first."""
        return self.number == 0

    @property
    def ends(self) -> bool:
        """Whether it is the last."""
        return self.number == self.tlp.segments - 1

    @property
    def is_shared(self) -> bool:
        """Whether the TLP is a broadcast: other queues have it, too."""
        return self.tlp.kind == Kind.MESSAGE_BROADCAST and self.tlp.data is None

    @property
    def units(self) -> int:
        """Data credits that its payload fills: one for each 16 bytes begun (2.6.1)."""
        payload = (self.tlp.data or b"")[32 * self.number : 32 * self.number + 32]
        return -(-len(payload) // 16)


@dataclass
class CrosspointRow:
    """Segments of one class that came in one beat.

    Parameters
    ----------
    parts : dict of int to Part
        By lane; what was taken is no longer in it.
    needs : int
        Posted rows that must have left before the TLPs that begin in it may leave, counted from
        the first one ever.
    """

    parts: dict[int, Part]
    needs: int

    def tail(self) -> list[int]:
        """Lanes at its beginning that continue a TLP, of which the beginning has left."""
        lanes = []
        for lane, part in sorted(self.parts.items()):
            if part.begins:
                break
            lanes.append(lane)
        return lanes


class CrosspointModel:
    """Queues of rows by class, and what may leave them.

    Attributes
    ----------
    rows : list of deque of CrosspointRow
        By class.
    posted_count, posted_left : int
        Posted rows that have come; that have left entirely.
    """

    def __init__(self):
        self.rows: list[deque[CrosspointRow]] = [deque() for _ in TlpClass]
        self.posted_count = 0
        self.posted_left = 0
        # The latest posted rows, from this one on, are all of this requester.
        self._run_start = 0
        self._run_requester = 0

    def write(self, lanes: Sequence[Part | None], posted_left: int) -> None:
        """Put a beat into the queues.

        Parameters
        ----------
        lanes : sequence of Part or None
            What each lane has for this crosspoint.
        posted_left : int
            How many posted rows are known to have left: ID-based Ordering is decided by it.
        """
        parts = {lane: part for lane, part in enumerate(lanes) if part is not None}
        posted = {n: p for n, p in parts.items() if p.tlp.tlp_class == TlpClass.POSTED}
        requesters = [part.tlp.requester for part in posted.values() if part.begins]
        changes = any(requester != self._run_requester for requester in requesters)
        only_run = not changes and posted_left >= self._run_start

        for tlp_class in (TlpClass.NON_POSTED, TlpClass.COMPLETION):
            row = {n: p for n, p in parts.items() if p.tlp.tlp_class == tlp_class}
            needs = 0
            for lane, part in row.items():
                if part.begins and not self._may_pass(part.tlp, only_run):
                    is_behind = any(other < lane for other in posted)
                    needs = max(needs, self.posted_count + is_behind)
            if row:
                self.rows[tlp_class].append(CrosspointRow(row, needs))

        if changes:
            is_mixed = len(requesters) > 1 or not posted[min(posted)].begins
            self._run_start = self.posted_count + is_mixed
            self._run_requester = requesters[-1]
        if posted:
            self.rows[TlpClass.POSTED].append(CrosspointRow(posted, 0))
            self.posted_count += 1

    def _may_pass(self, tlp: Tlp, only_run: bool) -> bool:
        """Whether ``tlp`` may pass all posted TLPs that are inside (2.4.1)."""
        is_completion = tlp.tlp_class == TlpClass.COMPLETION
        if tlp.relaxed_ordering and (is_completion or tlp.data is not None):
            return True
        identifier = tlp.completer if is_completion else tlp.requester
        return tlp.id_ordering and only_run and identifier != self._run_requester

    def offered(self, tlp_class: TlpClass, posted_left: int) -> list[int]:
        """Lanes of the first row that may be taken when ``posted_left`` posted rows have left."""
        row = self.rows[tlp_class][0]
        return sorted(row.parts) if posted_left >= row.needs else row.tail()

    def take(self, tlp_class: TlpClass, lanes: Iterable[int]) -> tuple[dict[int, Part], int, int]:
        """Take lanes of the first row; return what is in them, header and data credits of it.

        Credits of broadcasts do not count: those are free when they have left everywhere.
        """
        row = self.rows[tlp_class][0]
        taken = {lane: row.parts.pop(lane) for lane in lanes}
        if not row.parts:
            self.rows[tlp_class].popleft()
            self.posted_left += tlp_class == TlpClass.POSTED
        headers = sum(part.ends and not part.is_shared for part in taken.values())
        return taken, headers, sum(part.units for part in taken.values())
