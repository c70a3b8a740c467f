"""A place moved on by a few bytes."""

from amaranth import *

__all__ = ["advance"]


def advance(place: Value, size: Value) -> Value:
    """``place`` + ``size`` in as many bits as ``place``; the high half waits for no carry.

    It is made with and without one, and the low half's carry chooses: half as deep as an adder.
    """
    bits = max(len(size), len(place) // 2)
    low = place[:bits] + size
    high = place[bits:]
    return Cat(low[:bits], Mux(low[bits], (high + 1)[: len(high)], high))
