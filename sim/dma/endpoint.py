"""Golden model of hdl.dma.Endpoint: what it sends, and what it hands on, in which order."""

from collections import deque
from dataclasses import dataclass

from ..pcie.tlp import Tlp, TlpClass

__all__ = ["EndpointError", "EndpointModel"]


class EndpointError(AssertionError):
    """Something left that may not, or not now."""


@dataclass(frozen=True)
class _Taken:
    number: int
    tlp: Tlp


@dataclass
class _Received:
    tlp: Tlp
    may_be_lost: bool = False


class EndpointModel:
    """Follows TLPs through both directions.

    Of what is sent, each class keeps its order, and completions and requests that are not posted
    stay behind every posted one that was taken before them. Of what is received, completions keep
    their order, and so do all others among themselves.
    """

    def __init__(self):
        self._count = 0
        self._to_send: dict[TlpClass, deque[_Taken]] = {c: deque() for c in TlpClass}
        self._completions: deque[_Received] = deque()
        self._requests: deque[_Received] = deque()

    def take(self, tlp: Tlp) -> None:
        """Note that a client has handed over all of ``tlp``; a nullified one is forgotten."""
        if not tlp.nullified:
            self._to_send[tlp.tlp_class].append(_Taken(self._count, tlp))
        self._count += 1

    def send(self, tlp: Tlp) -> None:
        """Check that ``tlp`` may go to the link.

        Raises
        ------
        EndpointError
            If another of its class, or a posted one taken before it, has to go first.
        """
        queue = self._to_send[tlp.tlp_class]
        if not queue or queue[0].tlp != tlp:
            raise EndpointError(f"sent {tlp}, to send was {queue[0].tlp if queue else 'nothing'}")
        posted = self._to_send[TlpClass.POSTED]
        if posted and posted[0].number < queue[0].number:
            raise EndpointError(f"{tlp} passed {posted[0].tlp}")
        queue.popleft()

    def cut(self) -> None:
        """Forget what was to be sent: the link is down."""
        for queue in self._to_send.values():
            queue.clear()

    def receive(self, tlp: Tlp) -> None:
        """Note that ``tlp`` comes over the link, good if it comes whole."""
        is_completion = tlp.tlp_class == TlpClass.COMPLETION
        (self._completions if is_completion else self._requests).append(_Received(tlp))

    def lose(self) -> None:
        """Note that the link goes down: what has not come out yet may not have come whole."""
        for queue in (self._completions, self._requests):
            for entry in queue:
                entry.may_be_lost = True

    def hand_on(self, tlp: Tlp, *, completion: bool) -> None:
        """Check that ``tlp`` may come out, on ``completions`` or on ``requests``.

        Raises
        ------
        EndpointError
            If another is first there.
        """
        queue = self._completions if completion else self._requests
        while queue and queue[0].tlp != tlp and queue[0].may_be_lost:
            queue.popleft()
        if not queue or queue[0].tlp != tlp:
            first = queue[0].tlp if queue else "nothing"
            raise EndpointError(f"handed on {tlp}, first was {first}")
        queue.popleft()

    def left_to_hand_on(self) -> int:
        """TLPs that have come whole and not come out."""
        return sum(
            not e.may_be_lost for queue in (self._completions, self._requests) for e in queue
        )

    def left_to_send(self, tlp_class: TlpClass) -> int:
        """TLPs of a class that have not gone."""
        return len(self._to_send[tlp_class])

    @property
    def is_drained(self) -> bool:
        """Whether all has come out that should."""
        return not (self.left_to_hand_on() or any(self._to_send.values()))
