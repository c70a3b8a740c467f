"""Golden model of hdl.stream.PacketQueue."""

from enum import Enum

from .packet import Packet

__all__ = ["PacketFate", "PacketQueueModel"]


class PacketFate(Enum):
    """What becomes of a packet."""

    KEPT = "kept"
    DROPPED_ERROR = "dropped_error"
    DROPPED_FULL = "dropped_full"


class PacketQueueModel:
    """Fates of packets.

    Whether a beat finds room depends on when others left, so the circumstances are an argument.
    """

    def __init__(self, data_bytes: int, depth: int):
        self.data_bytes = data_bytes
        self.rows = 2
        while self.rows < depth:
            self.rows = 2 * self.rows + 2

    def beats(self, packet: Packet) -> int:
        """Rows that ``packet`` takes."""
        return -(-len(packet.data) // self.data_bytes)

    def fate(self, packet: Packet, free_rows: list[int]) -> PacketFate:
        """Fate of ``packet`` when beat n finds ``free_rows[n]`` rows left by other packets."""
        if packet.error:
            return PacketFate.DROPPED_ERROR
        if all(free > beat for beat, free in enumerate(free_rows)):
            return PacketFate.KEPT
        return PacketFate.DROPPED_FULL

    def fates_into_a_stalled_queue(self, packets: list[Packet]) -> list[PacketFate]:
        """Fates while nothing is taken, when each packet comes to a queue that is at rest.

        At rest, the first two beats that were kept wait outside the memory.
        """
        held = 0
        fates = []
        for packet in packets:
            beats = self.beats(packet)
            fates.append(self.fate(packet, [self.rows - max(0, held - 2)] * beats))
            if fates[-1] is PacketFate.KEPT:
                held += beats
        return fates
