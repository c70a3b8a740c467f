"""DMA engines: a client's reads and writes as TLPs or AXI4 bursts."""

from .axi_dma import AxiDma
from .axi_port import Axi4ReadSignature, Axi4Signature, Axi4WriteSignature
from .axi_read import AxiRead
from .axi_write import AxiWrite
from .completions import Completions
from .credit_return import CreditReturn
from .dma import Dma
from .dma_counters import DMA_COUNTERS, DmaCounters, DmaEventsLayout
from .endpoint import Endpoint
from .endpoint_receive import EndpointReceive
from .endpoint_transmit import EndpointTransmit
from .memory_copy import CopyLayout, MemoryCopy
from .memory_port import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryResponseLayout,
    MemoryStatus,
    MemoryWriteSignature,
)
from .msix import Msix
from .narrow_read import NarrowRead
from .parts import DeliveredLayout, IssuedLayout, TagEndedLayout
from .pcie_read import PcieRead
from .pcie_write import PcieWrite
from .read_delivery import ReadDelivery
from .read_gather import ReadGather
from .read_issue import ReadIssue
from .read_requester import ReadRequester
from .read_splitter import ReadSplitter
from .send_credits import SendCredits
from .send_queue import SendQueue
from .sent_reads import SentReads
from .skid import Skid
from .tag_pool import TagPool
from .tag_return import TagReturn
from .tag_timer import TagTimer
from .write_arbiter import WriteArbiter
from .write_intake import WriteIntake
from .write_responses import WriteResponses
from .write_shift import WriteShift
from .write_splitter import WriteSplitter
from .write_verdict import WriteVerdict

__all__ = [
    "DMA_COUNTERS",
    "Axi4ReadSignature",
    "Axi4Signature",
    "Axi4WriteSignature",
    "AxiDma",
    "AxiRead",
    "AxiWrite",
    "Completions",
    "CopyLayout",
    "CreditReturn",
    "DeliveredLayout",
    "Dma",
    "DmaCounters",
    "DmaEventsLayout",
    "Endpoint",
    "EndpointReceive",
    "EndpointTransmit",
    "IssuedLayout",
    "MemoryCopy",
    "MemoryReadSignature",
    "MemoryRequestLayout",
    "MemoryResponseLayout",
    "MemoryStatus",
    "MemoryWriteSignature",
    "Msix",
    "NarrowRead",
    "PcieRead",
    "PcieWrite",
    "ReadDelivery",
    "ReadGather",
    "ReadIssue",
    "ReadRequester",
    "ReadSplitter",
    "SendCredits",
    "SendQueue",
    "SentReads",
    "Skid",
    "TagEndedLayout",
    "TagPool",
    "TagReturn",
    "TagTimer",
    "WriteArbiter",
    "WriteIntake",
    "WriteResponses",
    "WriteShift",
    "WriteSplitter",
    "WriteVerdict",
]
