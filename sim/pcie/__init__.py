"""Golden models of PCI Express blocks."""

from .bridge import BridgeEvents, BridgeModel, Report, ReportKind
from .codec import decode_tlp, encode_tlp
from .completer import CompleterModel, ConfigSpaceModel
from .credit import CreditLedger, CreditViolation
from .credit_gate import CreditGateModel
from .crosspoint import CrosspointModel, CrosspointRow, Part
from .defects import defect
from .egress import EgressError, EgressModel
from .fence import FenceModel
from .messages import MessageModel
from .order import OrderChecker, OrderViolation
from .receive_credits import ReceiveCreditsModel
from .route_counter import count_routes
from .router import UPSTREAM, Acs, Bridge, Decision, RouterModel
from .rules import Action, Rule
from .shared_credits import SharedCreditsModel
from .switch import ConfigFunction, FixedFunction, SwitchModel, TraceEntry
from .tlp import Kind, Tlp, TlpClass
from .tlp_buffer import TlpBufferModel
from .tlp_check import CheckedTlp, Segment, TlpCheckModel, Verdict
from .tlp_packer import PackingError, Piece, TlpPackerModel
from .trace import trace_record

__all__ = [
    "UPSTREAM",
    "Acs",
    "Action",
    "Bridge",
    "BridgeEvents",
    "BridgeModel",
    "CheckedTlp",
    "CompleterModel",
    "ConfigFunction",
    "ConfigSpaceModel",
    "CreditGateModel",
    "CreditLedger",
    "CreditViolation",
    "CrosspointModel",
    "CrosspointRow",
    "Decision",
    "EgressError",
    "EgressModel",
    "FenceModel",
    "FixedFunction",
    "Kind",
    "MessageModel",
    "OrderChecker",
    "OrderViolation",
    "PackingError",
    "Part",
    "Piece",
    "ReceiveCreditsModel",
    "Report",
    "ReportKind",
    "RouterModel",
    "Rule",
    "Segment",
    "SharedCreditsModel",
    "SwitchModel",
    "Tlp",
    "TlpBufferModel",
    "TlpCheckModel",
    "TlpClass",
    "TlpPackerModel",
    "TraceEntry",
    "Verdict",
    "count_routes",
    "decode_tlp",
    "defect",
    "encode_tlp",
    "trace_record",
]
