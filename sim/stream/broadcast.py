"""Golden model of hdl.stream.Broadcast."""

from collections.abc import Iterable

from .packet import Packet

__all__ = ["broadcast_packets"]


def broadcast_packets(packets: Iterable[Packet], port_count: int) -> list[list[Packet]]:
    """Packets that each output gives, when ``packets`` come in."""
    packets = list(packets)
    return [list(packets) for _ in range(port_count)]
