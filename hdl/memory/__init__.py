"""Blocks for memories, tables and their codes."""

from .delay_line import DelayLine

__all__ = ["DelayLine"]
