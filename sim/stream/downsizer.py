"""Golden model of hdl.stream.Downsizer."""

from collections.abc import Iterable, Iterator

from .packet import Beat

__all__ = ["downsize"]


def downsize(beats: Iterable[Beat], i_bytes: int, o_bytes: int) -> Iterator[Beat]:
    """Narrow beats that wide ``beats`` become, malformed ones too."""
    for beat in beats:
        for start in range(0, i_bytes, o_bytes):
            end = start + o_bytes
            final = end == i_bytes or not beat.keep >> end & 1
            yield Beat(
                data=beat.data >> 8 * start & (1 << 8 * o_bytes) - 1,
                keep=beat.keep >> start & (1 << o_bytes) - 1,
                last=final and beat.last,
                error=final and beat.last and beat.error,
            )
            if final:
                break
