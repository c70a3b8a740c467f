"""Who has our addresses: answers to ARP and neighbour solicitations, as a NIC's host gives them."""

from ..bits.checksum import internet_checksum
from ..headers.infiniband import ETHERTYPES, IP_PROTOCOLS
from ..headers.table import decode, encode, header_bytes

__all__ = ["Neighbour"]

_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED_OVERRIDE = 0x6000_0000
_TARGET_LINK_ADDRESS = 2
_ETHERNET_BYTES = header_bytes("ethernet")


class Neighbour:
    """One who has an Ethernet address, an IPv4 and an IPv6 address.

    Specification: RFC 826 (ARP), RFC 4861, 4.3 and 4.4 (neighbour discovery).

    Parameters
    ----------
    mac : bytes
    address_4, address_6 : bytes
    """

    def __init__(self, *, mac: bytes, address_4: bytes, address_6: bytes):
        self.mac = mac
        self.address_4 = address_4
        self.address_6 = address_6

    def answer(self, frame: bytes) -> bytes | None:
        """Answer to ``frame``, if it asks for one of the addresses."""
        if len(frame) < _ETHERNET_BYTES:
            return None
        ethernet, rest = decode("ethernet", frame), frame[_ETHERNET_BYTES:]
        if ethernet["ethertype"] == ETHERTYPES["ARP"] and len(rest) >= header_bytes("arp"):
            return self._arp(decode("arp", rest))
        if ethernet["ethertype"] == ETHERTYPES["IPV6"] and len(rest) >= header_bytes("ipv6") + 24:
            return self._solicited(ethernet, rest)
        return None

    def _ethernet(self, destination: int, ethertype: str) -> bytes:
        return encode(
            "ethernet",
            {
                "destination_address": destination,
                "source_address": int.from_bytes(self.mac, "big"),
                "ethertype": ETHERTYPES[ethertype],
            },
        )

    def _arp(self, asked: dict[str, int]) -> bytes | None:
        mine = int.from_bytes(self.address_4, "big")
        if asked["operation"] != _REQUEST or asked["target_protocol_address"] != mine:
            return None
        peer = asked["sender_hardware_address"]
        told = {
            **asked,
            "operation": _REPLY,
            "sender_hardware_address": int.from_bytes(self.mac, "big"),
            "sender_protocol_address": mine,
            "target_hardware_address": peer,
            "target_protocol_address": asked["sender_protocol_address"],
        }
        return self._ethernet(peer, "ARP") + encode("arp", told)

    def _solicited(self, ethernet: dict[str, int], rest: bytes) -> bytes | None:
        ip, message = decode("ipv6", rest), rest[header_bytes("ipv6") :]
        is_asked = ip["next_header"] == IP_PROTOCOLS["ICMPV6"] and message[0] == _SOLICITATION
        # Whoever has no address yet only wants to know whether the one it wants is taken.
        if not is_asked or message[8:24] != self.address_6 or not ip["source_address"]:
            return None
        option = bytes([_TARGET_LINK_ADDRESS, 1]) + self.mac
        body = _SOLICITED_OVERRIDE.to_bytes(4, "big") + self.address_6 + option
        told = bytes([_ADVERTISEMENT, 0, 0, 0]) + body
        peer = ip["source_address"].to_bytes(16, "big")
        tail = bytes([0, 0, 0, IP_PROTOCOLS["ICMPV6"]])
        pseudo = self.address_6 + peer + len(told).to_bytes(4, "big") + tail
        checksum = internet_checksum(pseudo + told).to_bytes(2, "big")
        header = encode(
            "ipv6",
            {
                "version": 6,
                "payload_length": len(told),
                "next_header": IP_PROTOCOLS["ICMPV6"],
                "hop_limit": 255,
                "source_address": int.from_bytes(self.address_6, "big"),
                "destination_address": ip["source_address"],
            },
        )
        frame = self._ethernet(ethernet["source_address"], "IPV6") + header
        return frame + told[:2] + checksum + body
