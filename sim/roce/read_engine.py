"""What becomes of segments of READs: answers, data, and queue pairs that fail."""

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["ReadOutcome", "Segment", "read_segments"]

_ACCESS_NAK = 0x62
_OPERATION_NAK = 0x63


@dataclass(frozen=True)
class Segment:
    """One packet's worth of a READ.

    Parameters
    ----------
    queue_pair, psn, msn, syndrome, first, last
        Of its answer.
    data : bytes
        What memory has.
    refused : bool
        The place is no more.
    failed : bool
        Memory failed.
    again : bool
        Its READ was asked before.
    """

    queue_pair: int
    psn: int
    msn: int
    syndrome: int
    first: bool
    last: bool
    data: bytes
    refused: bool = False
    failed: bool = False
    again: bool = False


@dataclass
class ReadOutcome:
    """What leaves, each in its order.

    Attributes
    ----------
    answers : list of tuple
        ``is_nak``, queue pair, PSN, MSN, syndrome, first, last, bytes of data.
    data : list of tuple
        Bytes, and whether they are damaged.
    failures : list of tuple
        Queue pair, and ``access`` or ``operation``.
    """

    answers: list[tuple[bool, int, int, int, int, bool, bool, int]] = field(default_factory=list)
    data: list[tuple[bytes, bool]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)


def read_segments(segments: Iterable[Segment]) -> ReadOutcome:
    """Outcome of ``segments``; the queue pair that failed last is remembered to its next READ."""
    outcome = ReadOutcome()
    failed = None

    def answer(segment: Segment, nak: int = 0) -> None:
        outcome.answers.append(
            (
                bool(nak),
                segment.queue_pair,
                segment.psn,
                segment.msn,
                nak or segment.syndrome,
                segment.first,
                segment.last,
                0 if nak else len(segment.data),
            )
        )

    for segment in segments:
        number = segment.queue_pair
        if failed == number:
            if not segment.first:
                continue
            failed = None
        if segment.data and segment.refused and segment.again:
            continue
        if segment.data and segment.refused:
            answer(segment, _ACCESS_NAK)
            outcome.failures.append((number, "access"))
            failed = number
            continue
        answer(segment)
        if not segment.data:
            continue
        outcome.data.append((segment.data, segment.failed))
        if segment.failed:
            answer(segment, _OPERATION_NAK)
            outcome.failures.append((number, "operation"))
            failed = number
    return outcome
