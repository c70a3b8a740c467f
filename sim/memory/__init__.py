"""Golden models for memories, tables and their codes."""

from .delay_line import DelayLineModel

__all__ = ["DelayLineModel"]
