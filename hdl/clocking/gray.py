"""Gray code, of which one bit changes from each number to the next."""

from amaranth import *

__all__ = ["after_gray", "to_gray"]


def to_gray(number: int) -> int:
    """Gray code of ``number``."""
    return number ^ (number >> 1)


def after_gray(code: Value, odd: Value) -> Value:
    """Code that follows ``code``; after the last comes the first.

    Parameters
    ----------
    code : Value
        Code of 2 bits or more.
    odd : Value
        Whether the number is odd, which is whether ``code`` has an odd number of ones; where it
        is kept in a register beside the code, no carry is needed.
    """
    top = len(code) - 1
    flips = [~odd]
    flips += [odd & code[bit - 1] & ~code[: bit - 1].any() for bit in range(1, top)]
    flips += [odd & ~code[: top - 1].any()]
    return code ^ Cat(flips)
