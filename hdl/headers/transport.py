"""UDP, TCP, ICMP and ICMPv6."""

from amaranth.lib import enum

from .table import Header, HeaderField, Length

__all__ = ["ICMP", "ICMPV6", "TCP", "UDP", "UdpPort"]


class UdpPort(enum.IntEnum, shape=16):
    """Destination ports by which IANA names what UDP carries."""

    VXLAN = 4789
    ROCE_V2 = 4791
    GENEVE = 6081


UDP = Header(
    name="udp",
    specification="RFC 768",
    fields=(
        HeaderField("source_port", 16, "Fields"),
        HeaderField("destination_port", 16, "Fields"),
        HeaderField("length", 16, "Fields"),
        HeaderField("checksum", 16, "Fields"),
    ),
)

#: ``data_offset`` below 5 is malformed; above, options follow.
TCP = Header(
    name="tcp",
    specification="RFC 9293 3.1",
    fields=(
        HeaderField("source_port", 16, "3.1"),
        HeaderField("destination_port", 16, "3.1"),
        HeaderField("sequence_number", 32, "3.1"),
        HeaderField("acknowledgment_number", 32, "3.1"),
        HeaderField("data_offset", 4, "3.1"),
        HeaderField("reserved", 4, "3.1, Rsrvd"),
        HeaderField("cwr", 1, "3.1"),
        HeaderField("ece", 1, "3.1"),
        HeaderField("urg", 1, "3.1"),
        HeaderField("ack", 1, "3.1"),
        HeaderField("psh", 1, "3.1"),
        HeaderField("rst", 1, "3.1"),
        HeaderField("syn", 1, "3.1"),
        HeaderField("fin", 1, "3.1"),
        HeaderField("window", 16, "3.1"),
        HeaderField("checksum", 16, "3.1"),
        HeaderField("urgent_pointer", 16, "3.1"),
    ),
    length=Length("data_offset", unit_bytes=4, base_bytes=0),
)

#: The last four bytes depend on the type; in an echo they are identifier and sequence number.
ICMP = Header(
    name="icmp",
    specification="RFC 792",
    fields=(
        HeaderField("type", 8, "each message"),
        HeaderField("code", 8, "each message"),
        HeaderField("checksum", 16, "each message"),
        HeaderField("identifier", 16, "Echo or Echo Reply Message"),
        HeaderField("sequence_number", 16, "Echo or Echo Reply Message"),
    ),
)

#: The last four bytes depend on the type; in an echo they are identifier and sequence number.
ICMPV6 = Header(
    name="icmpv6",
    specification="RFC 4443 2.1",
    fields=(
        HeaderField("type", 8, "2.1"),
        HeaderField("code", 8, "2.1"),
        HeaderField("checksum", 16, "2.3"),
        HeaderField("identifier", 16, "4.1"),
        HeaderField("sequence_number", 16, "4.1"),
    ),
)
