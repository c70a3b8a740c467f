"""Golden model of hdl.stream.Realign."""

from collections.abc import Iterable
from dataclasses import dataclass

from .packet import Packet

__all__ = ["Slot", "realign_slots"]


@dataclass(frozen=True)
class Slot:
    """One step: new bytes and the place of the first of them in the output beat.

    ``base`` is None where the bytes below ``offset`` are those left of the slot before.
    """

    data: bytes
    offset: int
    emit: bool
    last: bool = False
    error: bool = False
    base: bytes | None = None


def realign_slots(slots: Iterable[Slot], data_bytes: int) -> list[Packet | None]:
    """Packets that ``slots`` make; None for each that ends empty."""
    packets: list[Packet | None] = []
    sent = bytearray()
    left = b""
    for slot in slots:
        below = left if slot.base is None else slot.base[: slot.offset]
        line = below.ljust(slot.offset, b"?") + slot.data
        if slot.emit:
            sent += line[:data_bytes]
        left = line[data_bytes:]
        if slot.last:
            sent += left
            packets.append(Packet(bytes(sent), slot.error) if sent else None)
            sent.clear()
    return packets
