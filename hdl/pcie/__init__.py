"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .router import Router

__all__ = ["Router"]
