"""Golden models of hdl.roce."""

from .answer import CREDITS
from .memory import KeyTable, Memory, Region, Rights
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
from .responder import Responder

__all__ = [
    "CREDITS",
    "AtomicResult",
    "BadPacketError",
    "Completion",
    "CompletionStatus",
    "KeyTable",
    "Memory",
    "QueuePair",
    "QueuePairState",
    "ReadResource",
    "ReceiveQueue",
    "ReceiveRequest",
    "Region",
    "Responder",
    "Rights",
    "RocePacket",
    "Service",
    "build",
    "parse",
]
