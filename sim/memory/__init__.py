"""Golden models for memories, tables and their codes."""

from .delay_line import DelayLineModel
from .ram import RamModel, RamRow, RamUse

__all__ = ["DelayLineModel", "RamModel", "RamRow", "RamUse"]
