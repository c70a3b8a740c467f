"""Golden models of hdl.roce."""

from .answer import CREDITS
from .engine import Engine
from .memory import KeyTable, Memory, Region, Rights, WindowBinding
from .packet import BadPacketError, RocePacket, build, parse
from .queue_pair import (
    AtomicResult,
    Completion,
    CompletionStatus,
    QueuePair,
    QueuePairState,
    ReadResource,
    ReceiveQueue,
    ReceiveRequest,
    Service,
)
from .request_packet import ACK_INTERVAL
from .requester import RNR_TIMES, Requester
from .responder import Responder
from .send_queue import (
    Datagram,
    SendCompletion,
    SendKind,
    SendQueuePair,
    SendRequest,
    SendState,
    SendStatus,
)

__all__ = [
    "ACK_INTERVAL",
    "CREDITS",
    "RNR_TIMES",
    "AtomicResult",
    "BadPacketError",
    "Completion",
    "CompletionStatus",
    "Datagram",
    "Engine",
    "KeyTable",
    "Memory",
    "QueuePair",
    "QueuePairState",
    "ReadResource",
    "ReceiveQueue",
    "ReceiveRequest",
    "Region",
    "Requester",
    "Responder",
    "Rights",
    "RocePacket",
    "SendCompletion",
    "SendKind",
    "SendQueuePair",
    "SendRequest",
    "SendState",
    "SendStatus",
    "Service",
    "WindowBinding",
    "build",
    "parse",
]
