"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .credit_gate import CreditGate
from .router import Router

__all__ = ["CreditGate", "Router"]
