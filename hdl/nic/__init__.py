"""The card: its configurations; the only place where clock domains are declared."""

from .config import PRODUCTS, NicConfig

__all__ = ["PRODUCTS", "NicConfig"]
