"""RoCEv2 packets: what a frame says, and the frame that says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..headers.infiniband import ETHERTYPES, IP_PROTOCOLS, OPCODES, UDP_PORTS, extensions
from ..headers.table import decode, encode, header_bytes
from ..pipeline.icrc import icrc

__all__ = ["BadPacketError", "RocePacket", "build", "parse"]

_VLANS = (ETHERTYPES["VLAN"], ETHERTYPES["SERVICE_VLAN"])
_ICRC_BYTES = 4
#: The greatest path MTU; nobody has room for more.
_MOST_PAYLOAD_BYTES = 4096


class BadPacketError(ValueError):
    """A frame that is dropped before anybody asks for its queue pair; says why."""


@dataclass(frozen=True)
class RocePacket:
    """What a RoCEv2 packet says.

    Parameters
    ----------
    source, destination : bytes
        IP addresses, of 4 or 16 bytes.
    headers : dict
        Fields of ``bth`` and of what follows it, by header. An opcode that does not exist has
        ``bth`` only.
    payload : bytes
        Without padding and ICRC.
    dscp, ecn, time_to_live : int
        Of the IP header.
    ip_header : bytes
        As it came; empty in a packet that was not parsed.
    """

    source: bytes
    destination: bytes
    headers: Mapping[str, Mapping[str, int]]
    payload: bytes = b""
    dscp: int = 0
    ecn: int = 0
    time_to_live: int = 64
    ip_header: bytes = field(default=b"", compare=False)

    @property
    def bth(self) -> Mapping[str, int]:
        """Fields of the base transport header."""
        return self.headers["bth"]

    @property
    def psn(self) -> int:
        """Packet sequence number."""
        return self.bth["psn"]

    @property
    def name(self) -> str:
        """Name of the opcode, empty if there is none."""
        return OPCODES.get(self.bth["opcode"], "")


def _ip(frame: bytes) -> tuple[int, int]:
    """Where the IP header begins, and its version."""
    ethertype, place = decode("ethernet", frame)["ethertype"], header_bytes("ethernet")
    while ethertype in _VLANS:
        ethertype = decode("vlan_tag", frame[place:])["ethertype"]
        place += header_bytes("vlan_tag")
    versions = {ETHERTYPES["IPV4"]: 4, ETHERTYPES["IPV6"]: 6}
    if ethertype not in versions:
        raise BadPacketError("not IP")
    return place, versions[ethertype]


def parse(frame: bytes) -> RocePacket:
    """Read an Ethernet frame without FCS.

    Specification: IBTA Architecture Specification volume 1, 9.6 (packet header validation) and
    Annex A17 (RoCEv2).

    Raises
    ------
    BadPacketError
        If it is no RoCEv2 packet, cut off, or has a wrong length, version, padding or ICRC.
    """
    try:
        return _parse(frame)
    except BadPacketError:
        raise
    except ValueError as error:
        raise BadPacketError(f"cut off: {error}") from error


def _parse(frame: bytes) -> RocePacket:
    place, version = _ip(frame)
    ip = decode(f"ipv{version}", frame[place:])
    if ip["version"] != version:
        raise BadPacketError("IP version")
    if version == 4:
        if ip["ihl"] != 5:
            raise BadPacketError("IPv4 options")
        if ip["more_fragments"] or ip["fragment_offset"]:
            raise BadPacketError("fragment")
        size, protocol, hops, address_bytes = 20, ip["protocol"], ip["time_to_live"], 4
        ip_end = place + ip["total_length"]
    else:
        size, protocol, hops, address_bytes = 40, ip["next_header"], ip["hop_limit"], 16
        ip_end = place + size + ip["payload_length"]
    if protocol != IP_PROTOCOLS["UDP"]:
        raise BadPacketError("not UDP")
    udp_place = place + size
    udp = decode("udp", frame[udp_place:])
    if udp["destination_port"] != UDP_PORTS["ROCE_V2"]:
        raise BadPacketError("not RoCEv2")
    end = udp_place + udp["length"]
    bth_place = udp_place + header_bytes("udp")
    if not bth_place + header_bytes("bth") + _ICRC_BYTES <= end == ip_end <= len(frame):
        raise BadPacketError("length")
    right = icrc(frame[: end - 4], ip=place, version=version, udp=udp_place, bth=bth_place)
    if frame[end - 4 : end] != right:
        raise BadPacketError("ICRC")
    data = frame[bth_place : end - 4]
    headers = {"bth": decode("bth", data)}
    data = data[header_bytes("bth") :]
    bth = headers["bth"]
    if bth["transport_header_version"]:
        raise BadPacketError("transport header version")
    for name in extensions(bth["opcode"]) if bth["opcode"] in OPCODES else ():
        headers[name] = decode(name, data)
        data = data[header_bytes(name) :]
    if len(data) % 4 or len(data) < bth["pad_count"]:
        raise BadPacketError("padding")
    if len(data) - bth["pad_count"] > _MOST_PAYLOAD_BYTES:
        raise BadPacketError("length")
    return RocePacket(
        source=ip["source_address"].to_bytes(address_bytes, "big"),
        destination=ip["destination_address"].to_bytes(address_bytes, "big"),
        headers=headers,
        payload=data[: len(data) - bth["pad_count"]],
        dscp=ip["dscp"],
        ecn=ip["ecn"],
        time_to_live=hops,
        ip_header=frame[place:udp_place],
    )


def _checksum(header: bytes) -> int:
    """Header checksum of IPv4 (RFC 1071)."""
    total = sum(int.from_bytes(header[n : n + 2], "big") for n in range(0, len(header), 2))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def build(
    packet: RocePacket,
    *,
    source_mac: int = 0,
    destination_mac: int = 0,
    source_port: int = 0xC000,
    identification: int = 0,
) -> bytes:
    """Frame without FCS that says ``packet``; pad count and lengths are made here.

    Specification: IBTA Architecture Specification volume 1, Annex A17 (RoCEv2 packet format).
    """
    pad = -len(packet.payload) % 4
    transport = b"".join(
        encode(name, {**fields, **({"pad_count": pad} if name == "bth" else {})})
        for name, fields in packet.headers.items()
    )
    body = transport + packet.payload + bytes(pad)
    udp_bytes = header_bytes("udp") + len(body) + _ICRC_BYTES
    version = 4 if len(packet.source) == 4 else 6
    addresses = {
        "source_address": int.from_bytes(packet.source, "big"),
        "destination_address": int.from_bytes(packet.destination, "big"),
        "dscp": packet.dscp,
        "ecn": packet.ecn,
    }
    if version == 4:
        fields = {
            "version": 4,
            "ihl": 5,
            "total_length": 20 + udp_bytes,
            "identification": identification,
            "dont_fragment": 1,
            "time_to_live": packet.time_to_live,
            "protocol": IP_PROTOCOLS["UDP"],
            **addresses,
        }
        ip = encode("ipv4", {**fields, "header_checksum": _checksum(encode("ipv4", fields))})
    else:
        fields = {
            "version": 6,
            "payload_length": udp_bytes,
            "next_header": IP_PROTOCOLS["UDP"],
            "hop_limit": packet.time_to_live,
            **addresses,
        }
        ip = encode("ipv6", fields)
    ethernet = encode(
        "ethernet",
        {
            "destination_address": destination_mac,
            "source_address": source_mac,
            "ethertype": ETHERTYPES[f"IPV{version}"],
        },
    )
    udp = encode(
        "udp",
        {
            "source_port": source_port,
            "destination_port": UDP_PORTS["ROCE_V2"],
            "length": udp_bytes,
        },
    )
    frame = ethernet + ip + udp + body
    udp_place = len(ethernet) + len(ip)
    return frame + icrc(
        frame, ip=len(ethernet), version=version, udp=udp_place, bth=udp_place + len(udp)
    )
