"""Blocks for memories, tables and their codes."""

from .cam import Cam
from .delay_line import DelayLine
from .free_list import FreeList
from .hash import Hash
from .ram import RamPortSignature, SimpleDualPortRam, SinglePortRam, TrueDualPortRam
from .secded import SecdedDecoder, SecdedEncoder
from .tcam import Tcam

__all__ = [
    "Cam",
    "DelayLine",
    "FreeList",
    "Hash",
    "RamPortSignature",
    "SecdedDecoder",
    "SecdedEncoder",
    "SimpleDualPortRam",
    "SinglePortRam",
    "Tcam",
    "TrueDualPortRam",
]
