"""Two cards on a wire of this process: scenarios without a guest."""

import time
from collections.abc import Iterable

from sim.peer.card import Card
from sim.peer.card_end import CardEnd
from sim.peer.end import ENGINE, LINUX
from sim.peer.guest import CARD, GUEST
from sim.peer.loop import Loop
from sim.peer.pair import Pair
from sim.peer.scenarios import Scenario
from sim.peer.station import seconds_until
from sim.peer.wire import Watch

__all__ = ["TwoCards"]


class TwoCards:
    """A card in the engine's place, and one in that of Linux.

    Parameters
    ----------
    engine, linux : Card
    seconds : float
        How long it may take.
    """

    def __init__(self, engine: Card, linux: Card, *, seconds: float):
        self.loop = Loop(seconds=seconds)
        self.watches: list[Watch] = []
        self._cards = (engine, linux)
        self._ends = (
            CardEnd(engine, loop=self.loop, name=ENGINE, peer=GUEST),
            CardEnd(linux, loop=self.loop, name=LINUX, peer=CARD),
        )
        self.loop.idle.append(self._go_on)

    def _go_on(self) -> float | None:
        now = time.monotonic_ns()
        for place, card in enumerate(self._cards):
            self._carry(place, card.transmit(now))
        waits = [seconds_until(card.deadline()) for card in self._cards]
        return min((wait for wait in waits if wait is not None), default=None)

    def _carry(self, place: int, frames: Iterable[bytes]) -> None:
        """Carry frames of a card to the other, and what that answers back."""
        for frame in frames:
            if not any([watch.takes(frame, place == 1) for watch in self.watches]):
                answers = self._cards[1 - place].receive(frame, time.monotonic_ns())
                self._carry(1 - place, answers)

    def play(self, scenario: Scenario) -> None:
        """Play ``scenario``; raise what is wrong."""
        engine, linux = self._ends
        with Pair(
            engine,
            linux,
            terms=scenario.terms,
            loop=self.loop,
            wire=self,
            asker=scenario.asker,
            seed=scenario.name,
        ) as pair:
            scenario.play(pair)
            pair.check()
