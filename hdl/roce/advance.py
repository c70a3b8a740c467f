"""A place moved on by a few bytes."""

from amaranth import *

__all__ = ["advance"]


def advance(place: Value, size: Value) -> Value:
    """``place`` + ``size`` in as many bits as ``place``; the high part waits for no carry.

    It is made with and without one, and the carry of the low third chooses.
    """
    bits = max(len(size), len(place) // 3)
    low = place[:bits] + size
    high = place[bits:]
    return Cat(low[:bits], Mux(low[bits], (high + 1)[: len(high)], high))
