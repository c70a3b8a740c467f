"""Golden models of PCI Express blocks."""

from .codec import decode_tlp, encode_tlp
from .router import UPSTREAM, Acs, Bridge, Decision, RouterModel
from .rules import Action, Rule
from .tlp import Kind, Tlp, TlpClass

__all__ = [
    "UPSTREAM",
    "Acs",
    "Action",
    "Bridge",
    "Decision",
    "Kind",
    "RouterModel",
    "Rule",
    "Tlp",
    "TlpClass",
    "decode_tlp",
    "encode_tlp",
]
