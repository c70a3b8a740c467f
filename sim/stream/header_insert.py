"""Golden model of hdl.stream.HeaderInsert."""

from .packet import Packet

__all__ = ["insert_header"]


def insert_header(header: bytes, packet: Packet) -> Packet:
    """``packet`` with ``header`` in front."""
    return Packet(header + packet.data, packet.error)
