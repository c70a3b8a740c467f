"""Golden model of hdl.pcie.TlpPacker: which beats are right."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["PackingError", "Piece", "TlpPackerModel"]


class PackingError(AssertionError):
    """A beat that the packer must not send."""


@dataclass(frozen=True)
class Piece:
    """A segment as the packer sees it: its bits, and whether it is the last of its TLP."""

    bits: int
    eop: bool


class TlpPackerModel:
    """Says of each beat whether it is right, from the rows that went in before.

    Parameters
    ----------
    segment_count : int
        Segments of a beat.

    Attributes
    ----------
    waiting : deque of Piece
        Segments that went in and did not come out.
    inside : bool
        The last beat ended within a TLP.
    """

    def __init__(self, segment_count: int):
        self.segment_count = segment_count
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.waiting: deque[Piece] = deque()
        self.inside = False

    def put(self, row: Iterable[Piece]) -> None:
        """Put in the segments of a row, without its idle lanes."""
        self.waiting.extend(row)

    def beat(self, lanes: Sequence[Piece | None], *, alone: bool) -> None:
        """Check a beat; ``alone``: when it was made no row was behind what the packer held.

        Raises
        ------
        PackingError
            If it has other segments than those next in order, or a gap, or is shorter than it
            may be.
        """
        count = sum(lane is not None for lane in lanes)
        if not count or any(lane is None for lane in lanes[:count]):
            raise PackingError(f"a gap before the last segment: {lanes}")
        for lane in lanes[:count]:
            expected = self.waiting.popleft() if self.waiting else None
            if lane != expected:
                raise PackingError(f"{lane} instead of {expected}")
        last = lanes[count - 1]
        ends = last is not None and last.eop
        if count < self.segment_count:
            if not ends:
                raise PackingError(f"{count} segments, and the last is no eop")
            if not (self.inside or alone):
                raise PackingError(f"{count} segments, though more were coming")
        self.inside = not ends
