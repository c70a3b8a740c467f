"""Golden models for memories, tables and their codes."""

from .delay_line import DelayLineModel
from .free_list import FreeListModel
from .ram import RamModel, RamRow, RamUse
from .secded import Decoded, SecdedModel

__all__ = [
    "Decoded",
    "DelayLineModel",
    "FreeListModel",
    "RamModel",
    "RamRow",
    "RamUse",
    "SecdedModel",
]
