"""Counters of a switch, for software."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ..register import AxiLiteSignature, Counter, RegisterFile, RegisterTable
from .route import check_ports

__all__ = ["COUNTERS", "PORT_COUNTS", "PortCountsLayout", "SwitchCounters", "counter_table"]

#: Name and meaning of each counter that every port has.
PORT_COUNTS = {
    "forwarded": "TLPs that came in and left by another port.",
    "served": "TLPs for the switch itself: configuration requests, messages that end here.",
    "answered": "Requests refused with a completion.",
    "dropped": "TLPs refused without one.",
    "redirected": "TLPs for a peer that ACS sent up; forwarded as well.",
    "blocked": "TLPs that ACS refused; answered or dropped as well.",
    "malformed": "Malformed TLPs.",
    "overflow": "TLPs for which the sender had no credits.",
    "nullified": "TLPs that the sender took back.",
    "untraced": "TLPs without a record in the trace, since nobody read it.",
    "sent": "Segments of 32 bytes that left by the port.",
}


class PortCountsLayout(data.StructLayout):
    """How many events of each kind a port had in a cycle; see :data:`PORT_COUNTS`."""

    def __init__(self, segment_count: int):
        super().__init__({name: range(segment_count + 2) for name in PORT_COUNTS})


def counter_table(ports: int, segments: int) -> RegisterTable:
    """Make the register table of a switch: each of :data:`PORT_COUNTS`, by port."""
    return RegisterTable(
        name="pcie_switch",
        description="What became of the TLPs that each port of the PCIe switch received.",
        entries=tuple(
            Counter(name, meaning, segments + 1, saturates=False, count=ports)
            for name, meaning in PORT_COUNTS.items()
        ),
    )


#: Table of the documentation: fewer ports have fewer elements, at other addresses.
COUNTERS = counter_table(8, 4)


class SwitchCounters(wiring.Component):
    """Count what becomes of TLPs, port by port.

    Latency and throughput are those of :class:`RegisterFile`; events of every port count in every
    cycle.

    Specification: :data:`PORT_COUNTS`.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    segment_count : int
        Segments a beat: 1, 2 or 4.

    Members
    -------
    i : In(PortCountsLayout(segment_count)).array(port_count)
        Events of each port.
    bus : In(AxiLiteSignature(address_bits))
        Access; ``counter_table`` has the addresses.

    Attributes
    ----------
    address_bits : int
        Width of addresses on the bus.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: list[Any]
    bus: Any

    def __init__(self, *, port_count: int, segment_count: int):
        if segment_count not in (1, 2, 4):
            raise ValueError(f"segments must be 1, 2 or 4, not {segment_count!r}")
        check_ports(port_count)
        table = counter_table(port_count, segment_count)
        self.address_bits = table.address_bits
        self._file = RegisterFile(table=table, address_bits=table.address_bits)
        super().__init__(
            {
                "i": In(PortCountsLayout(segment_count)).array(port_count),
                "bus": In(AxiLiteSignature(table.address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.file = file = self._file
        wiring.connect(m, wiring.flipped(self.bus), file.bus)
        for number, counts in enumerate(self.i):
            for name in PORT_COUNTS:
                m.d.comb += getattr(file.registers, name)[number].eq(getattr(counts, name))
        return m
