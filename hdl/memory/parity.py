"""XOR networks in one or two cycles."""

from collections.abc import Sequence

from amaranth import *

from hdl.bits import gf2

__all__ = ["registered_parities"]

# What a first cycle XORs together; a 512-bit word then leaves 32 bits or fewer to the second.
_CHUNK_BITS = 16


def registered_parities(
    m: Module, name: str, matrix: Sequence[int], value: Value, cycles: int
) -> Signal:
    """Product of ``matrix``, rows as in :mod:`hdl.bits.gf2`, and ``value``, 1 or 2 cycles later."""
    if cycles == 2:
        chunks: list[int] = []
        sums: list[int] = []
        for row in matrix:
            members = gf2.bits(row)
            first = len(chunks)
            for start in range(0, len(members), _CHUNK_BITS):
                chunks.append(sum(1 << bit for bit in members[start : start + _CHUNK_BITS]))
            sums.append((1 << len(chunks)) - (1 << first))
        value = registered_parities(m, f"{name}_chunks", chunks, value, 1)
        matrix = sums
    product = Signal(len(matrix), name=name, reset_less=True)
    m.d.sync += product.eq(gf2.parities(matrix, value))
    return product
