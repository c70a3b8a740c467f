"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .bridge_function import BridgeFunction, CapturedLayout
from .credit_gate import CreditGate
from .crosspoint import Crosspoint
from .egress import Egress
from .refusals import Refusals
from .router import Router
from .tlp_packer import TlpPacker

__all__ = [
    "BridgeFunction",
    "CapturedLayout",
    "CreditGate",
    "Crosspoint",
    "Egress",
    "Refusals",
    "Router",
    "TlpPacker",
]
