"""Golden model of hdl.stream.PacketCut."""

from collections.abc import Iterable

from .packet import Packet

__all__ = ["cut"]


def cut(packet: Packet, pieces: Iterable[tuple[int, int]], data_bytes: int) -> list[Packet]:
    """Packets that ``pieces``, each of bytes to skip and to take, make of ``packet``.

    A piece of which no byte is there has no ``data``: one byte leaves, nobody knows which. The
    error of ``packet`` comes with its last beat of ``data_bytes``.
    """
    last_beat = (len(packet.data) - 1) // data_bytes
    cuts = []
    for skip, take in pieces:
        if not take:
            continue
        end = skip + take
        is_short = end > len(packet.data)
        has_error = packet.error and (end - 1) // data_bytes == last_beat
        cuts.append(Packet(packet.data[skip:end], is_short or has_error))
    return cuts
