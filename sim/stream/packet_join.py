"""Golden model of hdl.stream.PacketJoin."""

from .packet import Packet

__all__ = ["join_packets"]


def join_packets(a: Packet, b: Packet) -> Packet:
    """Packet with the bytes of ``a`` and then those of ``b``; damaged if either is."""
    return Packet(a.data + b.data, a.error or b.error)
