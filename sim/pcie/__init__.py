"""Golden models of PCI Express blocks."""

from .bridge import BridgeEvents, BridgeModel, Report, ReportKind
from .codec import decode_tlp, encode_tlp
from .completer import CompleterModel, ConfigSpaceModel
from .credit import CreditLedger, CreditViolation
from .credit_gate import CreditGateModel
from .crosspoint import CrosspointModel, CrosspointRow, Part
from .defects import defect
from .messages import MessageModel
from .order import OrderChecker, OrderViolation
from .route_counter import count_routes
from .router import UPSTREAM, Acs, Bridge, Decision, RouterModel
from .rules import Action, Rule
from .switch import ConfigFunction, FixedFunction, SwitchModel, TraceEntry
from .tlp import Kind, Tlp, TlpClass
from .tlp_packer import PackingError, Piece, TlpPackerModel
from .trace import trace_record

__all__ = [
    "UPSTREAM",
    "Acs",
    "Action",
    "Bridge",
    "BridgeEvents",
    "BridgeModel",
    "CompleterModel",
    "ConfigFunction",
    "ConfigSpaceModel",
    "CreditGateModel",
    "CreditLedger",
    "CreditViolation",
    "CrosspointModel",
    "CrosspointRow",
    "Decision",
    "FixedFunction",
    "Kind",
    "MessageModel",
    "OrderChecker",
    "OrderViolation",
    "PackingError",
    "Part",
    "Piece",
    "Report",
    "ReportKind",
    "RouterModel",
    "Rule",
    "SwitchModel",
    "Tlp",
    "TlpClass",
    "TlpPackerModel",
    "TraceEntry",
    "count_routes",
    "decode_tlp",
    "defect",
    "encode_tlp",
    "trace_record",
]
