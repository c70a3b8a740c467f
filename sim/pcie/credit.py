"""Whether flow control credits of a link are kept to, and come back."""

from collections.abc import Sequence

from .tlp import Tlp, TlpClass

__all__ = ["CreditLedger", "CreditViolation"]

#: Headers and data of each class, in the order of indices.
_NAMES = [
    f"{tlp_class.name.lower()} {what}" for tlp_class in TlpClass for what in ("headers", "data")
]


class CreditViolation(AssertionError):
    """A TLP was sent without credit, or credits returned that nobody had spent."""


class CreditLedger:
    """Credits of one direction of a link, from its coming up to its going down.

    The receiver's initial credits are with the sender, who spends them; the receiver returns
    them (PCI Express Base Specification, 2.6.1, flow control rules). So at any time what is
    spent and not returned is what the receiver holds. Counts have no end here; only those
    that the receiver tells are cut to the width of its fields.

    Parameters
    ----------
    advertised : sequence of (headers, data)
        Initial credits of each class.
    scale : int
        0, 1 or 2: fields are in units of 1, 4 or 16 credits.
    infinite : int
        As ``tx_infinite`` of the port: bit 2n for the headers of class n, bit 2n + 1 for its data.

    Raises
    ------
    ValueError
        If more is advertised than may be outstanding: just less than half of a field's range.
    """

    def __init__(self, advertised: Sequence[tuple[int, int]], *, scale: int = 0, infinite: int = 0):
        self.unit = 4**scale
        self.moduli = [self.unit << bits for bits in (8, 12)] * len(TlpClass)
        self.advertised = [amount for pair in advertised for amount in pair]
        self.infinite = [bool(infinite >> index & 1) for index in range(len(_NAMES))]
        self.spent = [0] * len(_NAMES)
        self.returned = [0] * len(_NAMES)
        for index, amount in enumerate(self.advertised):
            self._check_window(index, amount)

    def covers(self, tlp: Tlp) -> bool:
        """Whether there are credits for ``tlp``; of limits the sender sees whole units only."""
        return self._missing(tlp) is None

    def send(self, tlp: Tlp) -> None:
        """Spend what ``tlp`` costs; nothing if it was nullified.

        Raises
        ------
        CreditViolation
            If there is not that much.
        """
        if tlp.nullified:
            return
        missing = self._missing(tlp)
        if missing is not None:
            raise CreditViolation(f"sent without credit for {_NAMES[missing]}: {tlp}")
        for index, amount in _costs(tlp):
            self.spent[index] += amount

    def grant(self, tlp_class: TlpClass, headers: int, data: int) -> None:
        """Return amounts.

        Raises
        ------
        CreditViolation
            If they were not spent.
        """
        for index, amount in zip((2 * tlp_class, 2 * tlp_class + 1), (headers, data), strict=True):
            if self.infinite[index]:
                continue
            self.returned[index] += amount
            if self.returned[index] > self.spent[index]:
                raise CreditViolation(
                    f"{_NAMES[index]}: returned {self.returned[index]} of {self.spent[index]}"
                )

    def allocate(self, tlp_class: TlpClass, headers: int, data: int) -> None:
        """Return credits as the cumulative counts CREDITS_ALLOCATED tell, modulo their fields.

        Raises
        ------
        CreditViolation
            If a count goes back, or if more came back than was spent.
        """
        amounts = []
        for index, count in ((2 * tlp_class, headers), (2 * tlp_class + 1, data)):
            limit = self.advertised[index] + self.returned[index]
            amount = 0 if self.infinite[index] else (count - limit) % self.moduli[index]
            if amount > self.moduli[index] // 2:
                raise CreditViolation(f"{_NAMES[index]}: count went from {limit} to {count}")
            amounts.append(amount)
        self.grant(tlp_class, *amounts)

    def widen(self, tlp_class: TlpClass, headers: int, data: int) -> None:
        """Advertise more than at first.

        Raises
        ------
        ValueError
            If that is more than may be outstanding.
        """
        for index, amount in ((2 * tlp_class, headers), (2 * tlp_class + 1, data)):
            self._check_window(index, self.advertised[index] + amount)
            self.advertised[index] += amount

    @property
    def limits(self) -> list[tuple[int, int]]:
        """CREDIT_LIMIT of each class, headers and data, without end."""
        totals = [sum(pair) for pair in zip(self.advertised, self.returned, strict=True)]
        return list(zip(totals[::2], totals[1::2], strict=True))

    @property
    def held(self) -> list[tuple[int, int]]:
        """What was spent and has not come back, of each class."""
        held = [
            0 if infinite else spent - returned
            for spent, returned, infinite in zip(
                self.spent, self.returned, self.infinite, strict=True
            )
        ]
        return list(zip(held[::2], held[1::2], strict=True))

    def check_settled(self) -> None:
        """Check that all that was spent has come back.

        Raises
        ------
        CreditViolation
            If not.
        """
        missing = [
            f"{amount} {name}"
            for name, amount in zip(_NAMES, sum(self.held, ()), strict=True)
            if amount
        ]
        if missing:
            raise CreditViolation(f"never returned: {', '.join(missing)}")

    def _missing(self, tlp: Tlp) -> int | None:
        """Index of what the TLP costs and is not there."""
        for index, amount in _costs(tlp):
            limit = self.advertised[index] + self.returned[index]
            visible = limit - limit % self.unit
            if not self.infinite[index] and self.spent[index] + amount > visible:
                return index
        return None

    def _check_window(self, index: int, amount: int) -> None:
        most = self.moduli[index] // 2 - self.unit
        if not 0 <= amount <= most:
            raise ValueError(f"{_NAMES[index]} must be 0 to {most}, not {amount!r}")


def _costs(tlp: Tlp) -> tuple[tuple[int, int], tuple[int, int]]:
    tlp_class = tlp.tlp_class
    return (2 * tlp_class, 1), (2 * tlp_class + 1, tlp.data_credits)
