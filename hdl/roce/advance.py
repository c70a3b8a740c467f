"""Sums whose high parts wait for no carry."""

from amaranth import *

__all__ = ["add_in_halves", "advance"]


def advance(place: Value, size: Value) -> Value:
    """``place`` + ``size`` in as many bits as ``place``; no high part waits for the one below.

    Each is made with a carry and without one, and the carry of the low third chooses.
    """
    bits = max(len(size), len(place) // 3)
    half = (len(place) + bits) // 2
    low = place[:bits] + size
    middle, high = place[bits:half], place[half:]
    carry = low[bits]
    return Cat(
        low[:bits],
        Mux(carry, (middle + 1)[: len(middle)], middle),
        Mux(carry & middle.all(), (high + 1)[: len(high)], high),
    )


def add_in_halves(left: Value, right: Value) -> Value:
    """Sum of two values of as many bits, one bit longer; the high half waits for no carry.

    As in :func:`advance`, that of the low half chooses.
    """
    half = len(left) // 2
    low = left[:half] + right[:half]
    highs = [
        (Cat(C(carry, 1), left[half:]) + Cat(C(carry, 1), right[half:]))[1:] for carry in (0, 1)
    ]
    return Cat(low[:half], Mux(low[half], highs[1], highs[0]))
