"""A switch whose trace and counters are compared with the model, beside what leaves it."""

from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hdl.pcie.switch_counters import PORT_COUNTS, counter_table
from hdl.pcie.trace import TraceRecordLayout
from sim.pcie import Decision, Rule, Tlp, count_routes, trace_record

from .switch_bed import SwitchBed

__all__ = ["ObservedBed"]

_RECORD = TraceRecordLayout()


def _field(record: int, name: str) -> int:
    field = _RECORD[name]
    return record >> field.offset & (1 << field.width) - 1


class ObservedBed(SwitchBed):
    """:class:`SwitchBed` that also reads the trace of each port, and the counters at the end.

    Attributes
    ----------
    recorded : int
        Records that were compared.
    """

    def __init__(self, dut, port_count: int, segment_count: int, **options: Any):
        super().__init__(dut, port_count, segment_count, **options)
        self.counts: list[Counter[str]] = [Counter() for _ in range(port_count)]
        self.routed: list[deque[tuple[Tlp, Decision]]] = [deque() for _ in range(port_count)]
        self.recorded = 0
        self.segment_count = segment_count
        for port in range(port_count):
            cocotb.start_soon(self._read_trace(port))

    def _sent(self, ingress: int, tlp: Tlp) -> None:
        bridges, before = self.model.bridges, len(self.model.trace)
        super()._sent(ingress, tlp)
        counts = self.counts[ingress]
        if tlp.nullified:
            counts["nullified"] += 1
        elif (rule := self.model.trace[before].rule) in (Rule.MALFORMED, Rule.OVERFLOW):
            counts[rule.name.lower()] += 1
        else:
            decision = self.model.router.route(ingress, tlp, bridges)
            counts.update(count_routes([decision]))
            self.routed[ingress].append((tlp, decision))

    async def _read_trace(self, port: int) -> None:
        """Compare each record with the next TLP that the model routed, but for those left out."""
        edge = RisingEdge(self.dut.clk)
        valid, payload = self.dut[f"trace__{port}__valid"], self.dut[f"trace__{port}__payload"]
        routed = self.routed[port]
        while True:
            await edge
            if not valid.value or self.dut.rst.value:
                continue
            record = int(payload.value)
            lost, time = _field(record, "lost"), _field(record, "time")
            self.counts[port]["untraced"] += lost
            for _ in range(lost):
                routed.popleft()
            tlp, decision = routed.popleft()
            expected = trace_record(port, tlp, decision, lost=lost, time=time)
            assert record.to_bytes(32, "little") == expected, f"record of {tlp}, {decision}"
            self.recorded += 1

    async def check_counters(self) -> None:
        """Read all counters, when nothing is under way."""
        bus = AxiLiteMaster(
            AxiLiteBus.from_prefix(self.dut, "counters_"), self.dut.clk, self.dut.rst
        )
        addresses = {
            place.entry.name: place.address
            for place in counter_table(self.port_count, self.segment_count).places()
        }
        for port, counts in enumerate(self.counts):
            # Records that are still left out belong to TLPs after the last record.
            counts["untraced"] += len(self.routed[port])
            counts["sent"] = self.ports[port].sink.segments
            for name in PORT_COUNTS:
                found: Any = await bus.read(addresses[name] + 8 * port, 8)
                assert int.from_bytes(found.data, "little") == counts[name], f"{name} of {port}"
