"""Golden model of the adapters between TLPs and AXI4-Stream with the header in line."""

from .codec import decode_tlp, encode_tlp
from .tlp import Tlp

__all__ = ["from_raw", "to_raw"]

_PREFIX_FMT = 0b100


def to_raw(tlp: Tlp) -> tuple[bytes, bool]:
    """Bytes of the packet that ``tlp`` leaves in, and whether it is marked."""
    return encode_tlp(tlp), tlp.nullified


def from_raw(packet: bytes, error: bool) -> Tlp | None:
    """TLP that arrives in ``packet``; None if it arrives nullified."""
    if error or len(packet) % 4:
        return None
    header = packet
    if header[0] >> 5 == _PREFIX_FMT:
        header = header[4:]
        # Bit 4 of the type tells an end-to-end prefix from a local one, which ends here.
        if not packet[0] & 0x10:
            packet = header
    if not header or header[0] >> 5 >= _PREFIX_FMT:
        return None
    if len(header) < 12 + 4 * (header[0] >> 5 & 1):
        return None
    return decode_tlp(packet)
