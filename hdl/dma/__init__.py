"""DMA engines: a client's reads and writes as TLPs or AXI4 bursts."""

from .completions import Completions
from .credit_return import CreditReturn
from .endpoint import Endpoint
from .endpoint_receive import EndpointReceive
from .endpoint_transmit import EndpointTransmit
from .memory_port import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryResponseLayout,
    MemoryStatus,
    MemoryWriteSignature,
)
from .pcie_write import PcieWrite
from .read_gather import ReadGather
from .send_credits import SendCredits
from .send_queue import SendQueue
from .write_arbiter import WriteArbiter
from .write_intake import WriteIntake
from .write_responses import WriteResponses
from .write_shift import WriteShift
from .write_splitter import WriteSplitter

__all__ = [
    "Completions",
    "CreditReturn",
    "Endpoint",
    "EndpointReceive",
    "EndpointTransmit",
    "MemoryReadSignature",
    "MemoryRequestLayout",
    "MemoryResponseLayout",
    "MemoryStatus",
    "MemoryWriteSignature",
    "PcieWrite",
    "ReadGather",
    "SendCredits",
    "SendQueue",
    "WriteArbiter",
    "WriteIntake",
    "WriteResponses",
    "WriteShift",
    "WriteSplitter",
]
