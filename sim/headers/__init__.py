"""Wire formats for models and testbenches, from tables of their own."""

from .infiniband import (
    ETHERTYPES,
    IP_PROTOCOLS,
    NAKS,
    OPCODES,
    UDP_PORTS,
    extensions,
    transport,
)
from .table import FORMATS, decode, encode, header_bytes, widths

__all__ = [
    "ETHERTYPES",
    "FORMATS",
    "IP_PROTOCOLS",
    "NAKS",
    "OPCODES",
    "UDP_PORTS",
    "decode",
    "encode",
    "extensions",
    "header_bytes",
    "transport",
    "widths",
]
