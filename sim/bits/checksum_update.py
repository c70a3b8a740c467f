"""Golden model of hdl.bits.ChecksumUpdate."""

from collections.abc import Iterable

__all__ = ["update_checksum"]


def update_checksum(checksum: int, changes: Iterable[tuple[int, int]]) -> int:
    """Checksum after each pair's first word became its second: RFC 1624, equation 3."""
    total = checksum ^ 0xFFFF
    for old, new in changes:
        total += (old ^ 0xFFFF) + new
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
