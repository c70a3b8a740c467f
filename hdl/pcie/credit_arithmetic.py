"""Sums and differences of three amounts of credits, each with a single carry chain."""

from amaranth import *

__all__ = ["add_less", "covers"]


def _carry_save(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Add three numbers of one width with a row of full adders: sums, and carries for bit 1 on."""
    return a ^ b ^ c, (a & b) | (a & c) | (b & c)


def add_less(first: Value, second: Value, less: Value) -> Value:
    """Compute ``first`` + ``second`` - ``less`` modulo the width of ``first``."""
    less = ~(less | Const(0, len(first)))[: len(first)]
    sums, carries = _carry_save(first, second, less)
    return sums + Cat(Const(1, 1), carries)[: len(first)]


def covers(available: Value, spent: Value, need: Value) -> Value:
    """Whether ``available`` - ``spent`` - ``need`` is not negative.

    The three are added as complements; two complements lack 2, which is a carry into bit 1. The
    sum is as narrow as the greater of ``spent`` and ``need``: neither has more than its top bit
    set, so together they never exceed what has a bit above that.
    """
    width = max(len(spent), len(need))
    b = ~(spent | Const(0, width))
    c = ~(need | Const(0, width))
    sums, carries = _carry_save(available[:width], b, c)
    total = Cat(Const(1), sums[1:]) + Cat(Const(1), carries)
    return available[width:].any() | total[width + 1]
