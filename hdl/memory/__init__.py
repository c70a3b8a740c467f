"""Blocks for memories, tables and their codes."""

from .delay_line import DelayLine
from .ram import RamPortSignature, SimpleDualPortRam, SinglePortRam, TrueDualPortRam

__all__ = [
    "DelayLine",
    "RamPortSignature",
    "SimpleDualPortRam",
    "SinglePortRam",
    "TrueDualPortRam",
]
