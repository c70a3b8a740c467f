"""Testbenches of PCI Express blocks, and the test library that they share."""

from .random_tlps import random_tlp
from .segments import (
    SEGMENT_WIDTH,
    BeatReader,
    changed,
    field_of,
    from_segments,
    header_from_int,
    header_to_int,
    to_segments,
)
from .switch_port import Credits, SwitchPort
from .tlp_port import TlpSink, TlpSource

__all__ = [
    "SEGMENT_WIDTH",
    "BeatReader",
    "Credits",
    "SwitchPort",
    "TlpSink",
    "TlpSource",
    "changed",
    "field_of",
    "from_segments",
    "header_from_int",
    "header_to_int",
    "random_tlp",
    "to_segments",
]
