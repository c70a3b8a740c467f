"""Ethernet, VLAN tags, ARP and MAC control."""

from amaranth.lib import enum

from .table import Header, HeaderField

__all__ = [
    "ARP",
    "ETHERNET",
    "MAC_CONTROL",
    "PAUSE",
    "PFC",
    "VLAN_TAG",
    "EtherType",
    "MacControlOpcode",
]


class EtherType(enum.IntEnum, shape=16):
    """EtherTypes of the IEEE registry; values below 0x600 are lengths (IEEE 802.3 3.2.6)."""

    IPV4 = 0x0800
    ARP = 0x0806
    TRANSPARENT_ETHERNET_BRIDGING = 0x6558
    VLAN = 0x8100
    IPV6 = 0x86DD
    MAC_CONTROL = 0x8808
    MPLS = 0x8847
    SERVICE_VLAN = 0x88A8
    LLDP = 0x88CC
    PTP = 0x88F7
    ROCE_V1 = 0x8915


class MacControlOpcode(enum.IntEnum, shape=16):
    """Opcodes of IEEE 802.3 Table 31A-1."""

    PAUSE = 0x0001
    PFC = 0x0101


ETHERNET = Header(
    name="ethernet",
    specification="IEEE 802.3-2022 3.2",
    fields=(
        HeaderField("destination_address", 48, "3.2.4"),
        HeaderField("source_address", 48, "3.2.5"),
        HeaderField("ethertype", 16, "3.2.6"),
    ),
)

#: What follows EtherType VLAN or SERVICE_VLAN, up to and with the next EtherType.
VLAN_TAG = Header(
    name="vlan_tag",
    specification="IEEE 802.1Q-2022 9.6",
    fields=(
        HeaderField("pcp", 3, "9.6"),
        HeaderField("dei", 1, "9.6"),
        HeaderField("vid", 12, "9.6"),
        HeaderField("ethertype", 16, "IEEE 802.3-2022 3.2.6"),
    ),
)

#: For IPv4 over Ethernet: other lengths of addresses have another layout.
ARP = Header(
    name="arp",
    specification="RFC 826, Packet format",
    fields=(
        HeaderField("hardware_type", 16, "ar$hrd"),
        HeaderField("protocol_type", 16, "ar$pro"),
        HeaderField("hardware_length", 8, "ar$hln"),
        HeaderField("protocol_length", 8, "ar$pln"),
        HeaderField("operation", 16, "ar$op"),
        HeaderField("sender_hardware_address", 48, "ar$sha"),
        HeaderField("sender_protocol_address", 32, "ar$spa"),
        HeaderField("target_hardware_address", 48, "ar$tha"),
        HeaderField("target_protocol_address", 32, "ar$tpa"),
    ),
)

MAC_CONTROL = Header(
    name="mac_control",
    specification="IEEE 802.3-2022 31.4.1",
    fields=(HeaderField("opcode", 16, "31.4.1.3"),),
)

#: Follows ``MAC_CONTROL`` with opcode PAUSE.
PAUSE = Header(
    name="pause",
    specification="IEEE 802.3-2022 Annex 31B.2",
    fields=(HeaderField("pause_time", 16, "31B.2"),),
)

#: Follows ``MAC_CONTROL`` with opcode PFC.
PFC = Header(
    name="pfc",
    specification="IEEE 802.3-2022 Annex 31D.2",
    fields=(
        HeaderField("reserved", 8, "31D.2, high octet of priority_enable_vector"),
        HeaderField("priority_enable_vector", 8, "31D.2, bit n enables time_n"),
        *(HeaderField(f"time_{priority}", 16, "31D.2") for priority in range(8)),
    ),
)
