"""Golden models for memories, tables and their codes."""

from .cam import CamModel
from .delay_line import DelayLineModel
from .free_list import FreeListModel
from .hash import HashModel
from .ram import RamModel, RamRow, RamUse
from .secded import Decoded, SecdedModel
from .tcam import TcamModel

__all__ = [
    "CamModel",
    "Decoded",
    "DelayLineModel",
    "FreeListModel",
    "HashModel",
    "RamModel",
    "RamRow",
    "RamUse",
    "SecdedModel",
    "TcamModel",
]
