"""A card on the guest's wire, and the host around it that answers for its addresses."""

import time

from .card import Card
from .loop import Loop
from .neighbours import Neighbour
from .wire import Wire

__all__ = ["Station", "seconds_until"]

_SECOND = 1_000_000_000


def seconds_until(deadline: int | None) -> float | None:
    """How far away a card's deadline is."""
    return None if deadline is None else (deadline - time.monotonic_ns()) / _SECOND


class Station:
    """Give frames of a wire to a card, or to who answers for its addresses, and send theirs.

    Parameters
    ----------
    card : Card
    neighbour : Neighbour
    loop : Loop
    """

    def __init__(self, card: Card, neighbour: Neighbour, *, loop: Loop):
        self.card = card
        self.wire: Wire | None = None
        self._neighbour = neighbour
        loop.idle.append(self._go_on)

    def receive(self, frame: bytes) -> None:
        """Take a frame of the wire."""
        assert self.wire is not None
        answer = self._neighbour.answer(frame)
        if answer is not None:
            self.wire.send(answer)
            return
        for sent in self.card.receive(frame, time.monotonic_ns()):
            self.wire.send(sent)

    def _go_on(self) -> float | None:
        """Let the card send; say in how many seconds it has more to do."""
        if self.wire is None:
            return None
        for sent in self.card.transmit(time.monotonic_ns()):
            self.wire.send(sent)
        return seconds_until(self.card.deadline())
