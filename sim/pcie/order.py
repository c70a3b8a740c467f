"""Whether TLPs left a switch in an order that the ordering rules allow."""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from .tlp import Tlp, TlpClass

__all__ = ["OrderChecker", "OrderViolation"]


class OrderViolation(AssertionError):
    """A TLP left that passed another it must not pass, or that never came."""


@dataclass(eq=False)
class _Waiting:
    """Numbers of TLPs that have not left, oldest first; all operations take constant time."""

    numbers: deque[int] = field(default_factory=deque)
    gone: set[int] = field(default_factory=set)

    def add(self, number: int) -> None:
        self.numbers.append(number)

    def remove(self, number: int) -> None:
        self.gone.add(number)
        while self.numbers and self.numbers[0] in self.gone:
            self.gone.remove(self.numbers.popleft())

    def has_before(self, number: int) -> bool:
        return bool(self.numbers) and self.numbers[0] < number


@dataclass(eq=False)
class _Path:
    """What waits on the way from one ingress to one egress, in one traffic class."""

    posted: _Waiting = field(default_factory=_Waiting)
    groups: dict[Hashable, _Waiting] = field(default_factory=dict)

    def add(self, number: int, tlp: Tlp) -> None:
        if tlp.tlp_class == TlpClass.POSTED:
            self.posted.add(number)
        group = _group(tlp)
        if group is not None:
            self.groups.setdefault(group, _Waiting()).add(number)

    def remove(self, number: int, tlp: Tlp) -> None:
        if tlp.tlp_class == TlpClass.POSTED:
            self.posted.remove(number)
        group = _group(tlp)
        if group is not None:
            self.groups[group].remove(number)
            if not self.groups[group].numbers:
                del self.groups[group]

    def passed(self, number: int, tlp: Tlp) -> str | None:
        """Tell what the TLP would pass against the rules if it left now."""
        tlp_class = tlp.tlp_class
        if tlp_class == TlpClass.COMPLETION and self._waits_in(_group(tlp), number):
            return "an older completion of the same Transaction ID"
        if not self.posted.has_before(number):
            return None
        # A read has no use for Relaxed Ordering: what it must not pass are writes to what it reads.
        may_relax = tlp_class != TlpClass.NON_POSTED or tlp.data is not None
        if tlp.relaxed_ordering and may_relax:
            return None
        if not tlp.id_ordering:
            return "an older posted request"
        # A completion comes from its completer: that is whose writes it must not pass.
        sender = tlp.completer if tlp_class == TlpClass.COMPLETION else tlp.requester
        if self._waits_in(("posted", sender), number):
            return f"an older posted request of {sender:04x}"
        return None

    def _waits_in(self, group: Hashable, number: int) -> bool:
        waiting = self.groups.get(group)
        return waiting is not None and waiting.has_before(number)


def _group(tlp: Tlp) -> Hashable | None:
    """Name what a TLP has in common with those it must stay in order with."""
    if tlp.tlp_class == TlpClass.POSTED:
        return "posted", tlp.requester
    if tlp.tlp_class == TlpClass.COMPLETION:
        return "completion", tlp.requester, tlp.tag
    return None


class OrderChecker:
    """Compares the order in which TLPs came in with that in which they left.

    TLPs are told apart by their contents. Of TLPs with equal contents the oldest is taken, which
    is never worse; of such from several ingresses, one that may leave.

    An order is legal if no TLP passed one from the same ingress to the same egress that it must
    not pass (PCI Express Base Specification, 2.4.1, table of ordering rules): posted requests;
    completions of the same Transaction ID. Relaxed Ordering lifts the first for all but reads,
    ID-based Ordering where the posted request has another sender.

    Parameters
    ----------
    by_traffic_class : bool
        Rules hold only within a traffic class, as in the specification. Otherwise they are asked
        of all TLPs together, which a switch with one virtual channel may promise.
    """

    def __init__(self, *, by_traffic_class: bool = True):
        self.by_traffic_class = by_traffic_class
        self.count = 0
        self.paths: defaultdict[tuple[int, int, int], _Path] = defaultdict(_Path)
        self.waiting: dict[tuple[int, Tlp], deque[tuple[int, int]]] = {}

    def accept(self, ingress: int, egress: int, tlp: Tlp) -> None:
        """Note that ``tlp``, as it shall leave by ``egress``, was received by ``ingress``."""
        self._path(ingress, egress, tlp).add(self.count, tlp)
        self.waiting.setdefault((egress, tlp), deque()).append((self.count, ingress))
        self.count += 1

    def leave(self, egress: int, tlp: Tlp) -> int:
        """Check that ``tlp`` may leave by ``egress`` now, and tell its ingress.

        Raises
        ------
        OrderViolation
            If no such TLP waits there, or if it passed what it must not pass.
        """
        candidates = self.waiting.get((egress, tlp))
        if not candidates:
            raise OrderViolation(f"left by port {egress}, but was not sent there: {tlp}")
        objection = None
        seen = set()
        for number, ingress in candidates:
            if ingress in seen:
                continue
            seen.add(ingress)
            passed = self._path(ingress, egress, tlp).passed(number, tlp)
            if passed is None:
                self._remove(egress, tlp, number, ingress)
                return ingress
            objection = objection or f"from port {ingress} to {egress}, passed {passed}: {tlp}"
        raise OrderViolation(objection)

    def discard(self, egress: int, tlp: Tlp, ingress: int) -> None:
        """Note that the switch gave ``tlp`` up: what is dropped passes nothing.

        Raises
        ------
        OrderViolation
            If no such TLP waits there.
        """
        for number, came_from in self.waiting.get((egress, tlp), ()):
            if came_from == ingress:
                self._remove(egress, tlp, number, ingress)
                return
        raise OrderViolation(f"given up at port {egress}, but did not wait there: {tlp}")

    def discard_all(self, egress: int) -> list[tuple[int, Tlp]]:
        """Give up all that waits for ``egress``, whose link went down; oldest first."""
        left = sorted(self._waiting_at(egress), key=lambda entry: entry[0])
        for number, ingress, tlp in left:
            self._remove(egress, tlp, number, ingress)
        return [(ingress, tlp) for _, ingress, tlp in left]

    def check_drained(self) -> None:
        """Check that nothing waits any more.

        Raises
        ------
        OrderViolation
            If something does; the oldest is named.
        """
        left = [
            (number, ingress, egress, tlp)
            for egress in {egress for egress, _ in self.waiting}
            for number, ingress, tlp in self._waiting_at(egress)
        ]
        if left:
            _, ingress, egress, tlp = min(left, key=lambda entry: entry[0])
            raise OrderViolation(
                f"{len(left)} TLPs never left, the oldest from port {ingress} to {egress}: {tlp}"
            )

    def _waiting_at(self, egress: int) -> Iterator[tuple[int, int, Tlp]]:
        for (port, tlp), entries in self.waiting.items():
            if port == egress:
                for number, ingress in entries:
                    yield number, ingress, tlp

    def _path(self, ingress: int, egress: int, tlp: Tlp) -> _Path:
        return self.paths[ingress, egress, tlp.tc if self.by_traffic_class else 0]

    def _remove(self, egress: int, tlp: Tlp, number: int, ingress: int) -> None:
        self._path(ingress, egress, tlp).remove(number, tlp)
        entries = self.waiting[egress, tlp]
        entries.remove((number, ingress))
        if not entries:
            del self.waiting[egress, tlp]
