"""Golden model of TlpCheck: verdicts about whatever segments come in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .defects import defect
from .tlp import Tlp

__all__ = ["CheckedTlp", "Segment", "TlpCheckModel", "Verdict"]

SEGMENT_DWORDS = 8


class Verdict(Enum):
    """What became of a TLP, or of segments that are none."""

    GOOD = "passes"
    MALFORMED = "dropped, its credits returned"
    OVERFLOW = "dropped, took no credits"
    NULLIFIED = "dropped without a trace"


@dataclass(frozen=True)
class Segment:
    """What is looked at in a segment.

    Parameters
    ----------
    header : Tlp
        What the header says; its data count for nothing but whether they are None.
    name : object
        To know it again.
    """

    sop: bool
    eop: bool
    empty: int
    nullified: bool
    header: Tlp
    name: object = None


@dataclass(frozen=True)
class CheckedTlp:
    """A TLP that ended, with its segments; or segments without a header, then ``header`` is None.

    Parameters
    ----------
    was_open : bool
        It began in an earlier beat.
    """

    verdict: Verdict
    header: Tlp | None
    segments: tuple[Segment, ...]
    was_open: bool


class TlpCheckModel:
    """Goes from segment to segment, one after the other.

    Parameters
    ----------
    max_payload_bytes : int
        Longest payload that the receiver takes.
    """

    def __init__(self, max_payload_bytes: int):
        self.max_payload_bytes = max_payload_bytes
        self._open: list[Segment] | None = None
        self._was_open = False
        self._skips = False
        self._ended: list[tuple[Segment | None, tuple[Segment, ...], Verdict, bool]] = []

    def flush(self) -> list[CheckedTlp]:
        """End the open TLP, as the link went down."""
        self._ended = []
        self._end(Verdict.NULLIFIED)
        self._skips = False
        return self._judge([0] * 6)

    def receive(self, lanes: Sequence[Segment | None], room: Sequence[int]) -> list[CheckedTlp]:
        """One beat, lane by lane, None being idle; what ends in it, in order.

        Parameters
        ----------
        room : sequence of int
            Credits that are left: headers and data of posted, non-posted, completions.
        """
        self._ended = []
        if any(lanes):
            self._was_open = self._open is not None
            for segment in lanes:
                self._look(segment)
            if self._open is not None and len(self._open) >= self._expected_segments():
                self._end(Verdict.MALFORMED)
                self._skips = True
        return self._judge(room)

    def _look(self, segment: Segment | None) -> None:
        if segment is None:
            self._end(Verdict.MALFORMED)
            self._skips = False
        elif segment.sop:
            self._end(Verdict.MALFORMED)
            self._open = [segment]
        elif self._open is not None:
            self._open.append(segment)
        else:
            if not self._skips:
                self._ended.append((None, (segment,), Verdict.MALFORMED, False))
            self._skips = not segment.eop
        if segment is not None and segment.eop and self._open is not None:
            self._end(Verdict.NULLIFIED if segment.nullified else self._verdict())
        if segment is not None and segment.sop:
            self._skips = False

    def _end(self, verdict: Verdict) -> None:
        if self._open is not None:
            self._ended.append((self._open[0], tuple(self._open), verdict, self._was_open))
        self._open = None
        self._was_open = False

    def _dwords(self) -> int:
        assert self._open is not None
        header = self._open[0].header
        return (header.length if header.data is not None else 0) + (header.digest is not None)

    def _expected_segments(self) -> int:
        return max(1, -(-self._dwords() // SEGMENT_DWORDS))

    def _verdict(self) -> Verdict:
        assert self._open is not None
        header = self._open[0].header
        if header.data is not None:
            header = header.with_changes(data=bytes(4 * header.length))
        carried = SEGMENT_DWORDS * len(self._open) - self._open[-1].empty
        good = (
            len(self._open) == self._expected_segments()
            and carried == self._dwords()
            and defect(header, self.max_payload_bytes) is None
        )
        return Verdict.GOOD if good else Verdict.MALFORMED

    def _judge(self, room: Sequence[int]) -> list[CheckedTlp]:
        """See which of those that ended have credits; a class that has none has none any more."""
        left = list(room)
        exhausted = set()
        checked = []
        for first, segments, found, was_open in self._ended:
            verdict = found
            header = None if first is None else first.header
            if header is not None and verdict != Verdict.NULLIFIED:
                index = 2 * header.tlp_class
                left[index] -= 1
                left[index + 1] -= header.data_credits
                if min(left[index : index + 2]) < 0:
                    exhausted.add(header.tlp_class)
                if header.tlp_class in exhausted:
                    verdict = Verdict.OVERFLOW
            checked.append(CheckedTlp(verdict, header, segments, was_open))
        return checked
