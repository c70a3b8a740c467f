"""Counters of an engine's errors, for software."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ..register import AxiLiteSignature, Counter, RegisterFile, RegisterTable
from .memory_port import MemoryStatus

__all__ = ["DMA_COUNTERS", "FAILURES", "DmaCounters", "DmaEventsLayout"]

#: How a read fails, by the name of its count.
FAILURES = {
    "unsupported": MemoryStatus.UNSUPPORTED,
    "aborted": MemoryStatus.ABORT,
    "poisoned": MemoryStatus.POISONED,
    "timed_out": MemoryStatus.TIMEOUT,
    "lost": MemoryStatus.LINK_DOWN,
}
#: Most of a cycle and meaning of each counter.
_EVENTS = {
    "unsupported": (2, "Memory reads whose completion says Unsupported Request."),
    "aborted": (
        2,
        "Memory reads whose completion says otherwise that it is none, or is against the rules.",
    ),
    "poisoned": (2, "Memory reads with poisoned data."),
    "timed_out": (2, "Memory reads that were not completed in time."),
    "lost": (2, "Memory reads that ended with the link, or were not sent without it."),
    "unexpected": (2, "Completions that belong to no read, dropped."),
    "malformed": (5, "Malformed TLPs, dropped."),
    "overflow": (5, "TLPs for which the sender had no credits, dropped."),
    "nullified": (5, "TLPs that the sender took back."),
}


class DmaEventsLayout(data.StructLayout):
    """How many events of each counter of :data:`DMA_COUNTERS` there were in a cycle."""

    def __init__(self):
        super().__init__({name: range(most + 1) for name, (most, _) in _EVENTS.items()})


DMA_COUNTERS = RegisterTable(
    name="dma",
    description="Errors of a DMA engine at PCI Express.",
    entries=tuple(
        Counter(name, meaning, most, saturates=False) for name, (most, meaning) in _EVENTS.items()
    ),
)


class DmaCounters(wiring.Component):
    """Count what goes wrong in a :class:`Dma`.

    Latency and throughput are those of :class:`RegisterFile`; all events count in every cycle.

    Specification: :data:`DMA_COUNTERS`.

    Members
    -------
    i : In(DmaEventsLayout())
        The engine's ``events``.
    bus : In(AxiLiteSignature(DMA_COUNTERS.address_bits))
        Access; ``DMA_COUNTERS`` has the addresses.
    """

    i: Any
    bus: Any

    def __init__(self):
        bits = DMA_COUNTERS.address_bits
        self._file = RegisterFile(table=DMA_COUNTERS, address_bits=bits)
        super().__init__({"i": In(DmaEventsLayout()), "bus": In(AxiLiteSignature(bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.file = file = self._file
        wiring.connect(m, wiring.flipped(self.bus), file.bus)
        for name in _EVENTS:
            m.d.comb += getattr(file.registers, name).eq(self.i[name])
        return m
