"""Blocks for what crosses from one clock to another."""

from .common_clear import CommonClear
from .gray import after_gray, to_gray

__all__ = ["CommonClear", "after_gray", "to_gray"]
