"""VXLAN, Geneve and GRE."""

from .table import Header, HeaderField, Length

__all__ = [
    "GENEVE",
    "GENEVE_OPTION",
    "GRE",
    "GRE_CHECKSUM",
    "GRE_KEY",
    "GRE_SEQUENCE",
    "VXLAN",
]

VXLAN = Header(
    name="vxlan",
    specification="RFC 7348 5",
    fields=(
        HeaderField("reserved_flags_high", 4, "5, R"),
        HeaderField("i_flag", 1, "5"),
        HeaderField("reserved_flags_low", 3, "5, R"),
        HeaderField("reserved_1", 24, "5"),
        HeaderField("vni", 24, "5"),
        HeaderField("reserved_2", 8, "5"),
    ),
)

GENEVE = Header(
    name="geneve",
    specification="RFC 8926 3.4",
    fields=(
        HeaderField("version", 2, "3.4"),
        HeaderField("opt_len", 6, "3.4"),
        HeaderField("control", 1, "3.4, O"),
        HeaderField("critical", 1, "3.4, C"),
        HeaderField("reserved_1", 6, "3.4, Rsvd."),
        HeaderField("protocol_type", 16, "3.4"),
        HeaderField("vni", 24, "3.4"),
        HeaderField("reserved_2", 8, "3.4"),
    ),
    length=Length("opt_len", unit_bytes=4, base_bytes=8),
)

GENEVE_OPTION = Header(
    name="geneve_option",
    specification="RFC 8926 3.5",
    fields=(
        HeaderField("option_class", 16, "3.5"),
        HeaderField("type", 8, "3.5"),
        HeaderField("reserved", 3, "3.5, R"),
        HeaderField("length", 5, "3.5"),
    ),
    length=Length("length", unit_bytes=4, base_bytes=4),
)

#: A word each follows for c_flag, k_flag and s_flag, in this order: ``GRE_CHECKSUM``,
#: ``GRE_KEY``, ``GRE_SEQUENCE``.
GRE = Header(
    name="gre",
    specification="RFC 2784 2.1 and RFC 2890 2",
    fields=(
        HeaderField("c_flag", 1, "RFC 2784 2.2, Checksum Present"),
        HeaderField("r_flag", 1, "RFC 1701, Routing Present; a receiver without it discards"),
        HeaderField("k_flag", 1, "RFC 2890 2, Key Present"),
        HeaderField("s_flag", 1, "RFC 2890 2, Sequence Number Present"),
        HeaderField("reserved_0", 9, "RFC 2784 2.3"),
        HeaderField("version", 3, "RFC 2784 2.3.1"),
        HeaderField("protocol_type", 16, "RFC 2784 2.4"),
    ),
)

GRE_CHECKSUM = Header(
    name="gre_checksum",
    specification="RFC 2784 2.5",
    fields=(
        HeaderField("checksum", 16, "2.5"),
        HeaderField("reserved_1", 16, "2.6"),
    ),
)

GRE_KEY = Header(
    name="gre_key",
    specification="RFC 2890 2.1",
    fields=(HeaderField("key", 32, "2.1"),),
)

GRE_SEQUENCE = Header(
    name="gre_sequence",
    specification="RFC 2890 2.2",
    fields=(HeaderField("sequence_number", 32, "2.2"),),
)
