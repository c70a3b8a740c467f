"""Golden model of hdl.pcie.Egress: which TLPs may leave, in which order, on which credits."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from .tlp import TlpClass

__all__ = ["EgressError", "EgressModel", "Entry"]


class EgressError(AssertionError):
    """Something left that may not, or not now."""


@dataclass
class Entry:
    """A TLP in a queue.

    Parameters
    ----------
    name : hashable
        What it is known by when it leaves.
    cost : int
        Its data credits.
    may_vanish : bool
        The link was down while it was there, so it need not leave.
    """

    name: Any
    cost: int
    may_vanish: bool = False


class EgressModel:
    """Follows TLPs from the queues to the link, or to where those for a dead link go.

    The order among queues is the egress's choice. Within a queue it is that of arrival; a TLP
    that leaves has credits; TLPs do not mix, which whoever reads the beats sees.

    Attributes
    ----------
    headers, data : list of float
        Credits left, by class.
    """

    def __init__(self):
        self.headers: list[float] = [0, 0, 0]
        self.data: list[float] = [0, 0, 0]
        self._queues: dict[tuple[int, TlpClass], deque[Entry]] = {}

    def arrive(self, source: int, tlp_class: TlpClass, name: Any, cost: int) -> Entry:
        """Note a TLP that enters a queue."""
        entry = Entry(name, cost)
        self._queues.setdefault((source, tlp_class), deque()).append(entry)
        return entry

    def grant(self, tlp_class: TlpClass, headers: float, data: float) -> None:
        """Add credits; ``math.inf`` for those without limit."""
        self.headers[tlp_class] += headers
        self.data[tlp_class] += data

    def send(self, source: int, tlp_class: TlpClass, name: Any) -> None:
        """Check that a TLP may leave now, on its credits.

        Raises
        ------
        EgressError
            If another is before it in its queue, or credits lack.
        """
        entry = self._remove(source, tlp_class, name)
        self.headers[tlp_class] -= 1
        self.data[tlp_class] -= entry.cost
        if self.headers[tlp_class] < 0 or self.data[tlp_class] < 0:
            raise EgressError(f"{name} left without {tlp_class.name} credits")

    def bury(self, source: int, name: Any) -> None:
        """Check that a non-posted request may go where those for a dead link go.

        Raises
        ------
        EgressError
            If another is before it in its queue.
        """
        self._remove(source, TlpClass.NON_POSTED, name)

    def cut(self) -> None:
        """Note that the link went down: all credits are gone; posted and completions may be."""
        self.headers = [0, 0, 0]
        self.data = [0, 0, 0]
        self.vanish()

    def vanish(self) -> None:
        """Note that the link is down: posted TLPs and completions that are here may be dropped."""
        for (_, tlp_class), queue in self._queues.items():
            if tlp_class != TlpClass.NON_POSTED:
                for entry in queue:
                    entry.may_vanish = True

    def left(self) -> list[Any]:
        """TLPs that still have to leave."""
        return [e.name for queue in self._queues.values() for e in queue if not e.may_vanish]

    def _remove(self, source: int, tlp_class: TlpClass, name: Any) -> Entry:
        queue = self._queues.get((source, tlp_class), deque())
        while queue and queue[0].name != name and queue[0].may_vanish:
            queue.popleft()
        if not queue or queue[0].name != name:
            first = queue[0].name if queue else "nothing"
            raise EgressError(f"{name} left queue {source} {tlp_class.name}, first was {first}")
        return queue.popleft()
