"""IPv4 and IPv6 with its extension headers."""

from amaranth.lib import enum

from .table import Header, HeaderField, Length

__all__ = [
    "IPV4",
    "IPV4_OPTION",
    "IPV6",
    "IPV6_AUTHENTICATION",
    "IPV6_DESTINATION_OPTIONS",
    "IPV6_FRAGMENT",
    "IPV6_HOP_BY_HOP",
    "IPV6_ROUTING",
    "IpProtocol",
]


class IpProtocol(enum.IntEnum, shape=8):
    """Protocol numbers of IANA, which are also IPv6's values of next_header."""

    HOP_BY_HOP = 0
    ICMP = 1
    IPV4 = 4
    TCP = 6
    UDP = 17
    IPV6 = 41
    ROUTING = 43
    FRAGMENT = 44
    GRE = 47
    ENCAPSULATING_SECURITY_PAYLOAD = 50
    AUTHENTICATION = 51
    ICMPV6 = 58
    NO_NEXT_HEADER = 59
    DESTINATION_OPTIONS = 60


#: ``ihl`` below 5 is malformed; above, options follow.
IPV4 = Header(
    name="ipv4",
    specification="RFC 791 3.1",
    fields=(
        HeaderField("version", 4, "3.1"),
        HeaderField("ihl", 4, "3.1"),
        HeaderField("dscp", 6, "RFC 2474 3"),
        HeaderField("ecn", 2, "RFC 3168 5"),
        HeaderField("total_length", 16, "3.1"),
        HeaderField("identification", 16, "3.1"),
        HeaderField("reserved", 1, "3.1, Flags bit 0"),
        HeaderField("dont_fragment", 1, "3.1, Flags bit 1"),
        HeaderField("more_fragments", 1, "3.1, Flags bit 2"),
        HeaderField("fragment_offset", 13, "3.1"),
        HeaderField("time_to_live", 8, "3.1"),
        HeaderField("protocol", 8, "3.1"),
        HeaderField("header_checksum", 16, "3.1"),
        HeaderField("source_address", 32, "3.1"),
        HeaderField("destination_address", 32, "3.1"),
    ),
    length=Length("ihl", unit_bytes=4, base_bytes=0),
)

#: Any option but End of Option List and No Operation, which are the first byte alone.
IPV4_OPTION = Header(
    name="ipv4_option",
    specification="RFC 791 3.1, Options",
    fields=(
        HeaderField("copied_flag", 1, "3.1"),
        HeaderField("option_class", 2, "3.1"),
        HeaderField("option_number", 5, "3.1"),
        HeaderField("option_length", 8, "3.1"),
    ),
    length=Length("option_length", unit_bytes=1, base_bytes=0),
)

IPV6 = Header(
    name="ipv6",
    specification="RFC 8200 3",
    fields=(
        HeaderField("version", 4, "3"),
        HeaderField("dscp", 6, "RFC 2474 3, in Traffic Class"),
        HeaderField("ecn", 2, "RFC 3168 5, in Traffic Class"),
        HeaderField("flow_label", 20, "3"),
        HeaderField("payload_length", 16, "3"),
        HeaderField("next_header", 8, "3"),
        HeaderField("hop_limit", 8, "3"),
        HeaderField("source_address", 128, "3"),
        HeaderField("destination_address", 128, "3"),
    ),
)


def _options(name: str, section: str) -> Header:
    """Hop-by-hop and destination options have one format."""
    return Header(
        name=name,
        specification=f"RFC 8200 {section}",
        fields=(
            HeaderField("next_header", 8, section),
            HeaderField("hdr_ext_len", 8, section),
        ),
        length=Length("hdr_ext_len", unit_bytes=8, base_bytes=8),
    )


IPV6_HOP_BY_HOP = _options("ipv6_hop_by_hop", "4.3")
IPV6_DESTINATION_OPTIONS = _options("ipv6_destination_options", "4.6")

IPV6_ROUTING = Header(
    name="ipv6_routing",
    specification="RFC 8200 4.4",
    fields=(
        HeaderField("next_header", 8, "4.4"),
        HeaderField("hdr_ext_len", 8, "4.4"),
        HeaderField("routing_type", 8, "4.4"),
        HeaderField("segments_left", 8, "4.4"),
    ),
    length=Length("hdr_ext_len", unit_bytes=8, base_bytes=8),
)

IPV6_FRAGMENT = Header(
    name="ipv6_fragment",
    specification="RFC 8200 4.5",
    fields=(
        HeaderField("next_header", 8, "4.5"),
        HeaderField("reserved", 8, "4.5"),
        HeaderField("fragment_offset", 13, "4.5"),
        HeaderField("res", 2, "4.5"),
        HeaderField("m_flag", 1, "4.5"),
        HeaderField("identification", 32, "4.5"),
    ),
)

#: The same over IPv4; the integrity check value follows.
IPV6_AUTHENTICATION = Header(
    name="ipv6_authentication",
    specification="RFC 4302 2",
    fields=(
        HeaderField("next_header", 8, "2.1"),
        HeaderField("payload_len", 8, "2.2"),
        HeaderField("reserved", 16, "2.3"),
        HeaderField("spi", 32, "2.4"),
        HeaderField("sequence_number", 32, "2.5"),
    ),
    length=Length("payload_len", unit_bytes=4, base_bytes=8),
)
