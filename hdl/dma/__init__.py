"""DMA engines: a client's reads and writes as TLPs or AXI4 bursts."""

from .memory_port import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryResponseLayout,
    MemoryStatus,
    MemoryWriteSignature,
)

__all__ = [
    "MemoryReadSignature",
    "MemoryRequestLayout",
    "MemoryResponseLayout",
    "MemoryStatus",
    "MemoryWriteSignature",
]
