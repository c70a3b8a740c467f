"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .bridge_function import BridgeFunction, CapturedLayout
from .credit_gate import CreditGate
from .crosspoint import Crosspoint
from .egress import Egress
from .receive_credits import ReceiveCredits
from .refusals import Refusals
from .route_counter import RouteCounter, RouteCountsLayout
from .router import Router
from .tlp_buffer import TlpBuffer
from .tlp_check import CheckedBeatLayout, TlpCheck
from .tlp_packer import TlpPacker
from .trace import Tracer, TraceRecordLayout

__all__ = [
    "BridgeFunction",
    "CapturedLayout",
    "CheckedBeatLayout",
    "CreditGate",
    "Crosspoint",
    "Egress",
    "ReceiveCredits",
    "Refusals",
    "RouteCounter",
    "RouteCountsLayout",
    "Router",
    "TlpBuffer",
    "TlpCheck",
    "TlpPacker",
    "TraceRecordLayout",
    "Tracer",
]
