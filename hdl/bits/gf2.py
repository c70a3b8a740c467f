"""Arithmetic over GF(2), in Python: the XOR networks of CRC and hash blocks.

A matrix is a tuple of rows. Row ``i`` is an integer whose bit ``j`` says that output bit ``i`` is
the XOR of input bits that include ``j``. A polynomial is an integer whose bit ``i`` is the
coefficient of x to the power ``i``; a ``modulus`` includes its top coefficient, so that CRC-32's
is ``0x104c11db7``. Nothing here is hardware but :func:`parities`.
"""

from collections.abc import Sequence

from amaranth import *

__all__ = [
    "Matrix",
    "apply",
    "identity",
    "inverse",
    "message",
    "multiplication",
    "multiply",
    "parities",
    "power_of_x",
    "times",
    "transpose",
]

Matrix = tuple[int, ...]


def bits(value: int) -> list[int]:
    """Numbers of the bits set in ``value``, ascending."""
    found = []
    while value:
        lowest = value & -value
        found.append(lowest.bit_length() - 1)
        value ^= lowest
    return found


def identity(size: int) -> Matrix:
    """Matrix that leaves ``size`` bits as they are."""
    return tuple(1 << row for row in range(size))


def transpose(matrix: Sequence[int], width: int) -> Matrix:
    """Rows of ``matrix`` as columns; ``width`` is its number of columns, so of rows returned."""
    turned = [0] * width
    for number, row in enumerate(matrix):
        for column in bits(row):
            turned[column] |= 1 << number
    return tuple(turned)


def apply(matrix: Sequence[int], vector: int) -> int:
    """Product of ``matrix`` and the bits of ``vector``."""
    return sum(((row & vector).bit_count() & 1) << number for number, row in enumerate(matrix))


def multiply(second: Sequence[int], first: Sequence[int]) -> Matrix:
    """Matrix that does what ``first`` does and then what ``second`` does."""
    product = []
    for row in second:
        combined = 0
        for number in bits(row):
            combined ^= first[number]
        product.append(combined)
    return tuple(product)


def inverse(matrix: Sequence[int]) -> Matrix:
    """Matrix that undoes the square ``matrix``; raise ValueError where there is none."""
    size = len(matrix)
    rows = [row | 1 << (size + number) for number, row in enumerate(matrix)]
    for column in range(size):
        pivot = next((n for n in range(column, size) if rows[n] >> column & 1), None)
        if pivot is None:
            raise ValueError(f"matrix of {size} rows has no inverse: its rank is less")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for number in range(size):
            if number != column and rows[number] >> column & 1:
                rows[number] ^= rows[column]
    return tuple(row >> size for row in rows)


def times(a: int, b: int, modulus: int) -> int:
    """Product of the polynomials ``a`` and ``b``, modulo ``modulus``."""
    width = modulus.bit_length() - 1
    product = 0
    for number in reversed(range(b.bit_length())):
        product <<= 1
        if product >> width & 1:
            product ^= modulus
        if b >> number & 1:
            product ^= a
    return product


def power_of_x(exponent: int, modulus: int) -> int:
    """X to the power ``exponent``, modulo ``modulus``; ``exponent`` may be negative.

    Raises
    ------
    ValueError
        If ``exponent`` is negative and ``modulus`` lacks the constant term that makes x invertible.
    """
    if exponent < 0 and not modulus & 1:
        raise ValueError(f"modulus must have a constant term to divide by x, not {modulus:#x}")
    # x * ((modulus - 1) / x) is modulus - 1, which is 1.
    base = 2 if exponent >= 0 else modulus >> 1
    power = 1
    for bit in f"{abs(exponent):b}":
        power = times(power, power, modulus)
        if bit == "1":
            power = times(power, base, modulus)
    return power


def multiplication(factor: int, modulus: int) -> Matrix:
    """Matrix that multiplies a polynomial by ``factor``, modulo ``modulus``."""
    width = modulus.bit_length() - 1
    columns = [times(factor, 1 << number, modulus) for number in range(width)]
    return transpose(columns, width)


def message(byte_count: int, modulus: int, *, lsb_first: bool) -> Matrix:
    """Matrix from ``byte_count`` bytes of a message to what a CRC register from zero then holds.

    That is the message times x to the power of the register's width. Input bit ``8 * n + b`` is
    bit ``b`` of byte ``n``; byte 0 is the first of the message; ``lsb_first`` says that a byte's
    bit 0 is the first of its bits.
    """
    width = modulus.bit_length() - 1
    columns = [0] * (8 * byte_count)
    term = modulus ^ 1 << width  # x to the power of width
    for age in range(8 * byte_count):
        order = 8 * byte_count - 1 - age
        columns[order if lsb_first else order ^ 7] = term
        term <<= 1
        if term >> width:
            term ^= modulus
    return transpose(columns, width)


def parities(matrix: Sequence[int], value: Value) -> Value:
    """Hardware: product of ``matrix`` and the bits of ``value``, an XOR tree for each row."""
    return Cat(Cat(value[number] for number in bits(row)).xor() if row else C(0) for row in matrix)
