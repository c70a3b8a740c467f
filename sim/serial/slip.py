"""SLIP, RFC 1055, as a whole: bytes of packets to bytes of frames and back."""

from dataclasses import dataclass

__all__ = ["Unslipped", "slip", "unslip"]


@dataclass(frozen=True)
class Unslipped:
    """A packet that a frame held, and whether the frame broke the rules."""

    data: bytes
    error: bool = False


def slip(data: bytes) -> bytes:
    """Frame that carries ``data``, with the END after it."""
    return data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def unslip(line: bytes) -> list[Unslipped]:
    """Packets in the whole frames of ``line``; what follows the last END is in none."""
    packets = []
    for frame in line.split(b"\xc0")[:-1]:
        data, error, rest = bytearray(), False, iter(frame)
        for byte in rest:
            if byte != 0xDB:
                data.append(byte)
                continue
            for escaped in rest:
                error |= escaped not in (0xDC, 0xDD)
                data.append({0xDC: 0xC0, 0xDD: 0xDB}.get(escaped, escaped))
                break
            else:
                error = True
        if data:
            packets.append(Unslipped(bytes(data), error))
    return packets
