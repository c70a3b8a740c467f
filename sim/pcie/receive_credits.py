"""Golden model of ReceiveCredits: the receiver's side of flow control."""

from collections.abc import Sequence

__all__ = ["ReceiveCreditsModel"]


class ReceiveCreditsModel:
    """Ledger of the credits of a port: each is with the partner, or held by a TLP inside.

    Six kinds: headers and data of posted, non-posted and completion TLPs, in this order.

    Parameters
    ----------
    advertised : sequence of int
        Credits of each kind.
    """

    def __init__(self, advertised: Sequence[int]):
        self.advertised = list(advertised)
        self.held = [0] * 6
        self.granted = list(advertised)
        self.link_up = False

    @property
    def room(self) -> list[int]:
        """What the partner may still send."""
        return [most - held for most, held in zip(self.advertised, self.held, strict=True)]

    @property
    def allocated(self) -> list[int]:
        """What the partner has been given since the link came up, or would be given now."""
        return self.granted if self.link_up else self.room

    @property
    def drained(self) -> bool:
        """Whether no TLP inside holds a credit."""
        return not any(self.held)

    def set_link(self, up: bool) -> None:
        """Raise or drop the link; a new one begins with what is free."""
        if up and not self.link_up:
            self.granted = self.room
        self.link_up = up

    def receive(self, index: int, amount: int) -> None:
        """Take credits for a TLP.

        Raises
        ------
        ValueError
            If there is not that much room.
        """
        if amount > self.room[index]:
            raise ValueError(f"received {amount} with room for {self.room[index]}")
        self.held[index] += amount

    def free(self, index: int, amount: int) -> None:
        """Return credits of TLPs that have left.

        Raises
        ------
        ValueError
            If no TLP holds so many.
        """
        if amount > self.held[index]:
            raise ValueError(f"returned {amount} of {self.held[index]}")
        self.held[index] -= amount
        self.granted[index] += amount
