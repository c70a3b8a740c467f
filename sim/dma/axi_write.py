"""Golden model of hdl.dma.AxiWrite: bytes that a write changes, its bursts and its status."""

from dataclasses import dataclass

from .axi_read import AxiBurst, axi_read_bursts
from .pcie_write import Write, write_outcome, written_bytes
from .read_splitter import ReadRequest

__all__ = ["AxiWriteOutcome", "axi_write_outcome"]


@dataclass(frozen=True)
class AxiWriteOutcome:
    """What comes of a write if the memory does not object."""

    content: dict[int, int]
    bursts: list[AxiBurst]
    status: int


def axi_write_outcome(write: Write, *, data_bytes: int) -> AxiWriteOutcome:
    """Tell what comes of ``write``: the bytes are those that PCI Express would bring, too.

    Parameters
    ----------
    write : Write
        Request and packet.
    data_bytes : int
        Bytes of a beat.
    """
    outcome = write_outcome(write, row_bytes=data_bytes, max_payload_bytes=4096, requester=0)
    content = {}
    for tlp in outcome.tlps:
        content |= written_bytes(tlp)
    bursts = axi_read_bursts(
        ReadRequest(write.address, len(content)),
        data_bytes=data_bytes,
        burst_bytes=min(4096, 256 * data_bytes),
    )
    return AxiWriteOutcome(content, bursts, outcome.status)
