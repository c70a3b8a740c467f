"""Golden model of hdl.stream.AsyncQueue."""

from collections.abc import Sequence

__all__ = ["async_queue_capacity", "lost_by_reset"]


def async_queue_capacity(depth: int) -> int:
    """Beats that a queue for at least ``depth`` takes while nothing leaves it."""
    rows = 4
    while rows + 1 < depth:
        rows *= 2
    return rows + 1


def lost_by_reset(taken: Sequence[int], given: Sequence[int]) -> range:
    """Find which of the beats ``taken``, no two alike, one reset cost.

    The beats ``given`` are the beginning and the end of those taken: between the two, any number
    is lost, and nothing else is; raise ValueError otherwise.
    """
    pairs = list(zip(taken, given, strict=False))
    first = next((n for n, (old, new) in enumerate(pairs) if old != new), len(pairs))
    end = first + len(taken) - len(given)
    if end < first or list(taken[end:]) != list(given[first:]):
        raise ValueError("what left is not the beginning and the end of what came in")
    return range(first, end)
