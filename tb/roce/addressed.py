"""Rows of addresses, and frames of packets that go where they say."""

import random
from collections.abc import Mapping
from typing import Any

from hdl.roce.frame_templates import AddressLayout
from sim.roce import RocePacket, build

__all__ = ["IDENTITY", "on_wire", "random_row"]

#: Own addresses.
IDENTITY: dict[str | int, Any] = {
    "mac": 0x02_11_22_33_44_55,
    "ipv4": 0xC0_00_02_FE,
    "ipv6": 0x20010DB8 << 96 | 0xFE,
}


def random_row(has_vlan: int, v6: int) -> dict[str, Any]:
    """Row of addresses; IPv4 with noise above its address."""
    widths = [(str(name), field.width) for name, field in AddressLayout()]
    row = {name: random.getrandbits(width) for name, width in widths}
    return {**row, "has_vlan": has_vlan, "v6": v6}


def on_wire(row: Mapping[str, int], headers: Any, payload: bytes, *, error: bool) -> bytes:
    """Give the frame of a packet that goes where a row of addresses says; see :data:`IDENTITY`."""
    size = 16 if row["v6"] else 4
    packet = RocePacket(
        IDENTITY["ipv6" if row["v6"] else "ipv4"].to_bytes(size, "big"),
        (row["destination_ip"] % (1 << 8 * size)).to_bytes(size, "big"),
        headers,
        payload,
        dscp=row["traffic_class"] >> 2,
        ecn=row["traffic_class"] & 3,
        time_to_live=row["hop_limit"],
    )
    made = build(
        packet,
        source_mac=IDENTITY["mac"],
        destination_mac=row["destination_mac"],
        source_port=row["udp_source"],
    )
    if error:
        made = made[:-4] + bytes(byte ^ 0xFF for byte in made[-4:])
    tag = b"\x81\x00" + row["vlan"].to_bytes(2, "big") if row["has_vlan"] else b""
    return made[:12] + tag + made[12:]
