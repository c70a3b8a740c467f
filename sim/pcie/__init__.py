"""Golden models of PCI Express blocks."""

from .codec import decode_tlp, encode_tlp
from .credit_gate import CreditGateModel
from .crosspoint import CrosspointModel, CrosspointRow, Part
from .order import OrderChecker, OrderViolation
from .router import UPSTREAM, Acs, Bridge, Decision, RouterModel
from .rules import Action, Rule
from .tlp import Kind, Tlp, TlpClass

__all__ = [
    "UPSTREAM",
    "Acs",
    "Action",
    "Bridge",
    "CreditGateModel",
    "CrosspointModel",
    "CrosspointRow",
    "Decision",
    "Kind",
    "OrderChecker",
    "OrderViolation",
    "Part",
    "RouterModel",
    "Rule",
    "Tlp",
    "TlpClass",
    "decode_tlp",
    "encode_tlp",
]
