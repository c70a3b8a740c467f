"""Golden model of packets and responses for a client with narrower beats."""

from collections.abc import Sequence

__all__ = ["beats_before_responses"]


def beats_before_responses(lengths: Sequence[int], beat_bytes: int) -> list[int]:
    """Beats that must have been taken before each response, if requests have these lengths."""
    counts = []
    total = 0
    for length in lengths:
        total += -(-length // beat_bytes)
        counts.append(total)
    return counts
