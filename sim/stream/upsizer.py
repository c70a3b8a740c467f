"""Golden model of hdl.stream.Upsizer."""

from collections.abc import Iterable, Iterator

from .packet import Beat

__all__ = ["upsize"]


def upsize(beats: Iterable[Beat], i_bytes: int, o_bytes: int) -> Iterator[Beat]:
    """Wide beats that narrow ``beats`` become, malformed ones too."""
    data, keep, position = 0, 0, 0
    for beat in beats:
        taken = beat.keep if beat.last else (1 << i_bytes) - 1
        data |= beat.data << 8 * position
        keep |= taken << position
        position += i_bytes
        if beat.last or position == o_bytes:
            yield Beat(data, keep, beat.last, beat.error and beat.last)
            data, keep, position = 0, 0, 0
