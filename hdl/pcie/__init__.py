"""PCI Express: a switch for transaction layer packets, and the blocks that it is made of."""

from .answer_room import AnswerRoom
from .bridge_function import BridgeFunction, CapturedLayout
from .checked_beat import CheckedBeatLayout
from .column import Column
from .completer import AnswerLayout, Completer
from .credit_gate import CreditGate
from .crosspoint import Crosspoint
from .egress import Egress
from .fence import Fence
from .ingress import Ingress
from .interrupt_wires import InterruptWires
from .local_column import DeadColumn, LocalColumn
from .local_unit import LocalUnit
from .messages import MessageUnit
from .power_off import PowerOff
from .raw_rx import FromTlpStream
from .raw_tx import ToTlpStream
from .receive_credits import ReceiveCredits
from .refusals import Refusals
from .report_mux import ReportMux
from .route_counter import RouteCounter, RouteCountsLayout
from .router import Router
from .shared_credits import SharedCredits
from .switch import Switch
from .switch_counters import SwitchCounters
from .tlp_buffer import TlpBuffer
from .tlp_check import TlpCheck
from .tlp_packer import TlpPacker
from .trace import Tracer, TraceRecordLayout

__all__ = [
    "AnswerLayout",
    "AnswerRoom",
    "BridgeFunction",
    "CapturedLayout",
    "CheckedBeatLayout",
    "Column",
    "Completer",
    "CreditGate",
    "Crosspoint",
    "DeadColumn",
    "Egress",
    "Fence",
    "FromTlpStream",
    "Ingress",
    "InterruptWires",
    "LocalColumn",
    "LocalUnit",
    "MessageUnit",
    "PowerOff",
    "ReceiveCredits",
    "Refusals",
    "ReportMux",
    "RouteCounter",
    "RouteCountsLayout",
    "Router",
    "SharedCredits",
    "Switch",
    "SwitchCounters",
    "TlpBuffer",
    "TlpCheck",
    "TlpPacker",
    "ToTlpStream",
    "TraceRecordLayout",
    "Tracer",
]
