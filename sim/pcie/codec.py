"""TLPs as bytes of the wire (PCI Express Base Specification, 2.2, headers outside flit mode)."""

import struct
from typing import Any

from .tlp import Kind, Tlp

__all__ = ["decode_tlp", "encode_tlp"]

_PREFIX_FMT = 0b100
_WIDTHS = {
    "kind": 5,
    "tc": 3,
    "at": 2,
    "tag": 10,
    "requester": 16,
    "first_be": 4,
    "last_be": 4,
    "target": 16,
    "register": 10,
    "completer": 16,
    "status": 3,
    "byte_count": 12,
    "lower_address": 7,
    "code": 8,
    "vendor": 16,
    "message_payload": 32,
}


def encode_tlp(tlp: Tlp) -> bytes:
    """Bytes of ``tlp``: prefix, header, payload, digest.

    Raises
    ------
    ValueError
        If a field is wider than the wire's; tags have 10 bits there.
    """
    _check_widths(tlp)
    prefix = b"" if tlp.prefix is None else tlp.prefix.to_bytes(4, "little")
    return prefix + _header(tlp) + (tlp.data or b"") + (tlp.digest or b"")


def decode_tlp(wire: bytes) -> Tlp:
    """TLP whose bytes are ``wire``.

    The payload is what lies behind the header, whatever the Length field says.

    Raises
    ------
    ValueError
        If it is cut off, has more than one prefix, or bytes behind what cannot have any.
    """
    if len(wire) % 4 or len(wire) < 12:
        raise ValueError(f"a TLP has whole DW, at least 3, not {len(wire)} bytes")
    prefix = None
    if wire[0] >> 5 == _PREFIX_FMT:
        prefix = int.from_bytes(wire[:4], "little")
        wire = wire[4:]
    fmt, kind = wire[0] >> 5, wire[0] & 31
    if fmt > 3:
        raise ValueError(f"Fmt {fmt:03b} is a second prefix or reserved")
    four_dwords, has_data = bool(fmt & 1), bool(fmt & 2)
    header, rest = wire[: 12 + 4 * four_dwords], wire[12 + 4 * four_dwords :]
    if len(header) < 12 + 4 * four_dwords:
        raise ValueError(f"the header is cut off after {len(header)} bytes")
    digest = None
    if wire[2] & 0x80:
        rest, digest = rest[:-4], rest[-4:]
        if len(digest) < 4:
            raise ValueError("the header announces a digest, but there is none")
    if rest and not has_data:
        raise ValueError(f"{len(rest)} bytes follow, but Fmt announces no payload")
    return Tlp(
        kind=kind,
        data=bytes(rest) if has_data else None,
        four_dwords=four_dwords,
        length=_length(kind, has_data, int.from_bytes(wire[2:4], "big") & 0x3FF),
        tc=wire[1] >> 4 & 7,
        no_snoop=bool(wire[2] & 0x10),
        relaxed_ordering=bool(wire[2] & 0x20),
        id_ordering=bool(wire[1] & 4),
        at=wire[2] >> 2 & 3,
        th=bool(wire[1] & 1),
        ln=bool(wire[1] & 2),
        poisoned=bool(wire[2] & 0x40),
        digest=None if digest is None else bytes(digest),
        prefix=prefix,
        **_specific(kind, (wire[1] >> 7) << 9 | (wire[1] >> 3 & 1) << 8, bytes(header)),
    )


def _check_widths(tlp: Tlp) -> None:
    for name, bits in _WIDTHS.items():
        value = getattr(tlp, name)
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{name} has {bits} bits on the wire, {value:#x} does not fit")
    if not 0 <= tlp.length <= 1024:
        raise ValueError(f"length must be 0 to 1024, not {tlp.length!r}")
    if not 0 <= tlp.address < 1 << (64 if tlp.four_dwords else 32):
        raise ValueError(f"address {tlp.address:#x} does not fit the header")


def _header(tlp: Tlp) -> bytes:
    fmt = (tlp.data is not None) << 1 | tlp.four_dwords
    first = struct.pack(
        ">BBH",
        fmt << 5 | tlp.kind,
        (tlp.tag >> 9) << 7
        | tlp.tc << 4
        | (tlp.tag >> 8 & 1) << 3
        | tlp.id_ordering << 2
        | tlp.ln << 1
        | tlp.th,
        (tlp.digest is not None) << 15
        | tlp.poisoned << 14
        | tlp.relaxed_ordering << 13
        | tlp.no_snoop << 12
        | tlp.at << 10
        | tlp.length % 1024,
    )
    low_tag = tlp.tag & 0xFF
    if tlp.is_completion:
        middle = tlp.status << 13 | tlp.bcm << 12 | tlp.byte_count
        rest = struct.pack(
            ">HHHBB", tlp.completer, middle, tlp.requester, low_tag, tlp.lower_address
        )
    elif tlp.is_message:
        rest = struct.pack(">HBBHH", tlp.requester, low_tag, tlp.code, tlp.target, tlp.vendor)
        if tlp.four_dwords:
            return first + rest + tlp.message_payload.to_bytes(4, "big")
    else:
        rest = struct.pack(">HBB", tlp.requester, low_tag, tlp.last_be << 4 | tlp.first_be)
        if tlp.kind not in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
            return first + rest + tlp.address.to_bytes(8 if tlp.four_dwords else 4, "big")
        rest += struct.pack(">HH", tlp.target, tlp.register << 2)
    return first + rest + bytes(4 if tlp.four_dwords else 0)


def _length(kind: int, has_data: bool, field: int) -> int:
    """Length as meant: 0 is 1024 unless the field is reserved."""
    is_reserved = kind >> 3 == 0b10 or kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED)
    return field or (0 if is_reserved and not has_data else 1024)


def _specific(kind: int, high_tag: int, header: bytes) -> dict[str, Any]:
    """Fields from the second DW of the header on."""
    if kind in (Kind.COMPLETION, Kind.COMPLETION_LOCKED):
        completer, middle, requester, tag, lower = struct.unpack_from(">HHHBB", header, 4)
        return {
            "completer": completer,
            "status": middle >> 13,
            "bcm": bool(middle & 0x1000),
            "byte_count": middle & 0xFFF,
            "requester": requester,
            "tag": high_tag | tag,
            "lower_address": lower & 0x7F,
        }
    if kind >> 3 == 0b10:
        requester, tag, code, target, vendor = struct.unpack_from(">HBBHH", header, 4)
        return {
            "requester": requester,
            "tag": high_tag | tag,
            "code": code,
            "target": target,
            "vendor": vendor,
            "message_payload": int.from_bytes(header[12:], "big"),
        }
    requester, tag, enables = struct.unpack_from(">HBB", header, 4)
    common = {
        "requester": requester,
        "tag": high_tag | tag,
        "first_be": enables & 15,
        "last_be": enables >> 4,
    }
    if kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        target, register = struct.unpack_from(">HH", header, 8)
        return {**common, "target": target, "register": register >> 2 & 0x3FF}
    return {**common, "address": int.from_bytes(header[8:], "big")}
