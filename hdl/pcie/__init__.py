"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .bridge_function import BridgeFunction, CapturedLayout
from .credit_gate import CreditGate
from .router import Router

__all__ = ["BridgeFunction", "CapturedLayout", "CreditGate", "Router"]
