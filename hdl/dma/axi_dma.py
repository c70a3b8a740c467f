"""Reads and writes of several clients as bursts of AXI4."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi_port import Axi4Signature
from .axi_read import AxiRead
from .axi_write import AxiWrite
from .memory_port import MemoryReadSignature, MemoryWriteSignature

__all__ = ["AxiDma"]


class AxiDma(wiring.Component):
    """Read and write memory at an AXI4 port: :class:`AxiRead` and :class:`AxiWrite` side by side.

    The two share nothing, so reads and writes do not wait for each other. AXI4 does not keep them
    in order, so a read sees the writes whose responses were given before it was requested, and it
    may see later ones. A read of 0 bytes ends when those of its client before it have: what was
    answered is with the memory by then. A write of 0 bytes ends when all writes of its
    client before it are with the memory.

    Throughput is a beat per cycle in each direction, at once.

    Specification: Arm IHI 0022, AMBA AXI and ACE; contracts of :func:`MemoryReadSignature` and
    :func:`MemoryWriteSignature`.

    Parameters
    ----------
    client_count, data_bytes, burst_bytes, buffer_rows : int
        As of :class:`AxiRead` and :class:`AxiWrite`; the last two concern reads.

    Members
    -------
    reads : In(MemoryReadSignature(data_bytes)).array(client_count)
        Clients that read; see :class:`AxiRead`.
    writes : In(MemoryWriteSignature(data_bytes)).array(client_count)
        Clients that write; see :class:`AxiWrite`.
    timeout : In(32)
        Cycles in which the memory has to give something, if it owes it; longer than a burst takes.
    axi : Out(Axi4Signature)
        The memory: 64 bits of address, the IDs are clients' numbers. Registered.

    Raises
    ------
    ValueError
        If a parameter is not as the parts want it.
    """

    reads: list[Any]
    writes: list[Any]
    timeout: Signal
    axi: Any

    def __init__(self, *, client_count: int, data_bytes: int, burst_bytes: int, buffer_rows: int):
        self.read = AxiRead(
            client_count=client_count,
            data_bytes=data_bytes,
            burst_bytes=burst_bytes,
            buffer_rows=buffer_rows,
        )
        self.write = AxiWrite(client_count=client_count, data_bytes=data_bytes)
        super().__init__(
            {
                "reads": In(MemoryReadSignature(data_bytes)).array(client_count),
                "writes": In(MemoryWriteSignature(data_bytes)).array(client_count),
                "timeout": In(32),
                "axi": Out(
                    Axi4Signature(address_bits=64, data_bytes=data_bytes, id_bits=self.read.id_bits)
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.read = read = self.read
        m.submodules.write = write = self.write
        for ours, theirs in zip(
            (*self.reads, *self.writes), (*read.reads, *write.writes), strict=True
        ):
            wiring.connect(m, wiring.flipped(ours), theirs)
        m.d.comb += [read.timeout.eq(self.timeout), write.timeout.eq(self.timeout)]
        for part in (read, write):
            for name, member in part.axi.signature.members.items():
                ours, theirs = getattr(self.axi, name), getattr(part.axi, name)
                m.d.comb += ours.eq(theirs) if member.flow is Out else theirs.eq(ours)
        return m
