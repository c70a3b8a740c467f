"""Bits of a UART's line."""

from collections.abc import Iterator

__all__ = ["uart_bits"]


def uart_bits(byte: int) -> Iterator[int]:
    """Yield the levels of the line for ``byte``, one a bit time: start, low bit first, stop."""
    yield 0
    for position in range(8):
        yield byte >> position & 1
    yield 1
