"""DMA engines: a client's reads and writes as TLPs or AXI4 bursts."""

from .completions import Completions
from .memory_port import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryResponseLayout,
    MemoryStatus,
    MemoryWriteSignature,
)
from .pcie_write import PcieWrite
from .write_arbiter import WriteArbiter
from .write_intake import WriteIntake
from .write_responses import WriteResponses
from .write_shift import WriteShift
from .write_splitter import WriteSplitter

__all__ = [
    "Completions",
    "MemoryReadSignature",
    "MemoryRequestLayout",
    "MemoryResponseLayout",
    "MemoryStatus",
    "MemoryWriteSignature",
    "PcieWrite",
    "WriteArbiter",
    "WriteIntake",
    "WriteResponses",
    "WriteShift",
    "WriteSplitter",
]
