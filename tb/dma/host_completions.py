"""Completions as cocotbext-pcie's root complex makes them."""

import logging
from types import SimpleNamespace
from typing import Any

from cocotbext.axi import AddressSpace, MemoryRegion
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.core.tlp import Tlp as HostTlp
from cocotbext.pcie.core.tlp import TlpType as HostType
from cocotbext.pcie.core.utils import PcieId

from sim.pcie.codec import decode_tlp
from sim.pcie.tlp import Tlp

__all__ = ["HostMemory"]


class HostMemory:
    """Memory behind a root complex; its part that answers reads needs no simulator.

    Parameters
    ----------
    data : bytes
        What the memory holds, from address 0 on.
    requester : int
        Who reads.
    max_payload : int
        Code of Max_Payload_Size.
    rcb_128 : bool
        Read Completion Boundary is 128 bytes, not 64.
    split : bool
        Split completions at every such boundary, not only where they are longer than
        Max_Payload_Size.
    """

    def __init__(
        self, data: bytes, requester: int, *, max_payload: int, rcb_128: bool, split: bool
    ):
        memory = AddressSpace(2**32)
        region = MemoryRegion(len(data))
        region.mem[:] = data
        memory.register_region(region, 0)
        self.requester = requester
        self._completions: list[HostTlp] = []
        self._host: Any = SimpleNamespace(
            log=logging.getLogger("host"),
            mem_address_space=memory,
            send=self._send,
            max_payload_size=max_payload,
            read_completion_boundary=rcb_128,
            split_on_all_rcb=split,
        )

    async def _send(self, tlp: HostTlp) -> None:
        self._completions.append(tlp)

    def read(self, tag: int, address: int, length: int) -> list[Tlp]:
        """Completions of a read."""
        request = HostTlp()
        request.fmt_type = HostType.MEM_READ
        request.requester_id = PcieId(
            self.requester >> 8, self.requester >> 3 & 31, self.requester & 7
        )
        request.tag = tag
        request.set_addr_be(address, length)
        self._completions.clear()
        try:
            RootComplex.handle_mem_read_tlp(self._host, request).send(None)
        except StopIteration:
            return [decode_tlp(bytes(completion.pack())) for completion in self._completions]
        raise RuntimeError("the root complex waits for something")
