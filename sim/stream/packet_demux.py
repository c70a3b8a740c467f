"""Golden model of hdl.stream.PacketDemux."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .packet import Packet

__all__ = ["PacketDemuxModel"]


@dataclass
class PacketDemuxModel:
    """Packets that each port has been given, and the number dropped."""

    port_count: int
    given: dict[int, list[Packet]] = field(default_factory=dict)
    dropped_count: int = 0

    def route(self, packets: Iterable[Packet], ports: Iterable[int]) -> None:
        """Give each of ``packets`` to its element of ``ports``."""
        for packet, port in zip(packets, ports, strict=True):
            if port in range(self.port_count):
                self.given.setdefault(port, []).append(packet)
            else:
                self.dropped_count += 1
