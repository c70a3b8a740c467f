"""Golden model of the RoCEv2 invariant CRC."""

import zlib
from collections.abc import Mapping

__all__ = ["icrc", "icrc_good"]


def icrc(packet: bytes, *, ip: int, version: int, udp: int, bth: int) -> bytes:
    """Four bytes that end a RoCEv2 packet, as sent.

    What may change on the way counts as ones, and eight bytes of ones stand for the local route
    header that RoCEv2 does not have.

    Specification: IBTA Architecture Specification volume 1, Annex A17.3.3 (with 7.8.1).

    Parameters
    ----------
    packet : bytes
        Packet up to the ICRC, without it.
    ip, udp, bth : int
        Where these headers begin.
    version : int
        4 or 6.
    """
    masked = bytearray(packet)
    if version == 4:
        variant = [ip + 1, ip + 8, ip + 10, ip + 11]  # DSCP and ECN, time to live, checksum
    else:
        variant = [ip + 1, ip + 2, ip + 3, ip + 7]  # traffic class, flow label, hop limit
        masked[ip] |= 0x0F
    for place in (*variant, udp + 6, udp + 7, bth + 4):  # UDP checksum; FECN, BECN and reserved
        masked[place] = 0xFF
    return zlib.crc32(b"\xff" * 8 + masked[ip:]).to_bytes(4, "little")


def icrc_good(packet: bytes, places: Mapping[str, int]) -> bool | None:
    """Whether the ICRC is right; None where there is no BTH.

    The packet's end is where the UDP length says, since Ethernet may have padded it. A UDP length
    that leaves no room for BTH and ICRC, or is more than the packet has, is never good.

    Parameters
    ----------
    packet : bytes
        Packet from its first byte, without FCS.
    places : mapping of str to int
        Where the innermost ``ipv4`` or ``ipv6``, ``udp`` and ``bth`` begin.
    """
    if "bth" not in places:
        return None
    udp, bth = places["udp"], places["bth"]
    # Of two IP headers, the inner one carries the BTH.
    ip, version = max((places[name], int(name[3])) for name in ("ipv4", "ipv6") if name in places)
    end = udp + int.from_bytes(packet[udp + 4 : udp + 6], "big")
    if not bth + 16 <= end <= len(packet):
        return False
    right = icrc(packet[: end - 4], ip=ip, version=version, udp=udp, bth=bth)
    return packet[end - 4 : end] == right
