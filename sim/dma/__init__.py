"""Golden models of the DMA engines."""

from .axi_read import AxiBurst, axi_answer, axi_read_bursts
from .axi_write import AxiWriteOutcome, axi_write_outcome
from .completions import CompletionsModel, EndedRead, ReadEnd
from .endpoint import EndpointError, EndpointModel
from .memory_copy import copy_status
from .msix import MsixEntry, MsixModel
from .narrow_read import beats_before_responses
from .pcie_write import Write, WriteOutcome, write_outcome, written_bytes
from .read_delivery import Answer, ReadDeliveryModel
from .read_issue import read_tlp
from .read_requester import ReadRequesterModel
from .read_splitter import ReadPiece, ReadRequest, read_block_bytes, split_read
from .sent_reads import SentReadsModel
from .tag_pool import TagPoolModel
from .tag_return import TagReturnModel
from .tag_timer import FailedRead, TagTimerModel

__all__ = [
    "Answer",
    "AxiBurst",
    "AxiWriteOutcome",
    "CompletionsModel",
    "EndedRead",
    "EndpointError",
    "EndpointModel",
    "FailedRead",
    "MsixEntry",
    "MsixModel",
    "ReadDeliveryModel",
    "ReadEnd",
    "ReadPiece",
    "ReadRequest",
    "ReadRequesterModel",
    "SentReadsModel",
    "TagPoolModel",
    "TagReturnModel",
    "TagTimerModel",
    "Write",
    "WriteOutcome",
    "axi_answer",
    "axi_read_bursts",
    "axi_write_outcome",
    "beats_before_responses",
    "copy_status",
    "read_block_bytes",
    "read_tlp",
    "split_read",
    "write_outcome",
    "written_bytes",
]
