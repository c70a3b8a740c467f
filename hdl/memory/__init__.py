"""Blocks for memories, tables and their codes."""

from .delay_line import DelayLine
from .free_list import FreeList
from .ram import RamPortSignature, SimpleDualPortRam, SinglePortRam, TrueDualPortRam
from .secded import SecdedDecoder, SecdedEncoder

__all__ = [
    "DelayLine",
    "FreeList",
    "RamPortSignature",
    "SecdedDecoder",
    "SecdedEncoder",
    "SimpleDualPortRam",
    "SinglePortRam",
    "TrueDualPortRam",
]
