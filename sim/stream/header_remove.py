"""Golden model of hdl.stream.HeaderRemove."""

from .packet import Packet

__all__ = ["remove_header"]


def remove_header(length: int, packet: Packet) -> tuple[bytes, Packet | None]:
    """First ``length`` bytes of ``packet``, and the packet without them: None if that is empty."""
    header, rest = packet.data[:length], packet.data[length:]
    return header, Packet(rest, packet.error) if rest else None
