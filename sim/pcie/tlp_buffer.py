"""Golden model of TlpBuffer: whole TLPs from checked beats."""

from collections.abc import Sequence
from typing import Generic, TypeVar

__all__ = ["TlpBufferModel"]

S = TypeVar("S")


class TlpBufferModel(Generic[S]):
    """Put TLPs together from beats that TlpCheck has looked at.

    Segments are what the caller makes of them.
    """

    def __init__(self):
        self._open: list[S] | None = None

    def receive(
        self,
        lanes: Sequence[tuple[S, bool, bool] | None],
        tail: Sequence[bool],
        *,
        ended: bool,
        bad: bool,
    ) -> list[list[S]]:
        """Take one beat; return the TLPs that became whole, in order.

        Parameters
        ----------
        lanes : sequence of (segment, sop, eop) or None
            None where the lane is not valid.
        tail : sequence of bool
            Lanes of the TLP that goes on.
        ended, bad : bool
            The TLP that was open has ended; it does not pass.

        Raises
        ------
        ValueError
            If the beat is none that TlpCheck may make.
        """
        current = self._open
        if ended:
            if current is None:
                raise ValueError("a TLP ended that was not open")
            if bad:
                current = None
            self._open = None
        whole: list[list[S]] = []
        for lane, marked in zip(lanes, tail, strict=True):
            if lane is None:
                if marked or (current is not None and any(x is not None for x in lanes)):
                    raise ValueError("an idle lane within a TLP")
                continue
            segment, sop, eop = lane
            if sop != (current is None):
                raise ValueError("a TLP begins within another, or without sop")
            current = [segment] if current is None else [*current, segment]
            if eop:
                if marked:
                    raise ValueError("the tail has an eop")
                whole.append(current)
                current = None
        if current is not None and any(x is not None for x in lanes) and not tail[-1]:
            raise ValueError("an open TLP that is not marked as tail")
        self._open = current
        if ended and not bad and not whole:
            raise ValueError("a good TLP ended without its last segment")
        return whole
