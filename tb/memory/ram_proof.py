"""Proofs of hdl.memory's RAMs."""

from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.memory import SimpleDualPortRam
from tb.prove import Proof

__all__ = ["PROOFS"]


class _ReadsLastWritten(wiring.Component):
    """A RAM with bypass, of which one row, any, is watched from its first write on."""

    watched: Signal
    write_lanes: Signal
    write_address: Signal
    write_data: Signal
    read_en: Signal
    read_address: Signal

    def __init__(self, latency: int):
        self.latency = latency
        super().__init__(
            {
                "watched": In(2),
                "write_lanes": In(2),
                "write_address": In(2),
                "write_data": In(2),
                "read_en": In(1),
                "read_address": In(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = SimpleDualPortRam(
            shape=2, depth=4, lane_count=2, latency=self.latency, bypass=True
        )
        for name in ("write_lanes", "write_address", "write_data", "read_en", "read_address"):
            m.d.comb += getattr(ram, name).eq(getattr(self, name))

        watched = Signal(2)
        past = Signal()
        m.d.sync += [watched.eq(self.watched), past.eq(1)]
        known = Signal(2)
        row = Signal(2)
        now_known = Signal(2)
        now_row = Signal(2)
        m.d.comb += [now_known.eq(known), now_row.eq(row)]
        for lane in range(2):
            with m.If(self.write_lanes[lane] & (self.write_address == self.watched)):
                m.d.comb += [now_known[lane].eq(1), now_row[lane].eq(self.write_data[lane])]
        m.d.sync += [known.eq(now_known), row.eq(now_row)]

        seen_known = Signal(2)
        seen_row = Signal(2)
        with m.If(self.read_en & (self.read_address == self.watched)):
            m.d.sync += [seen_known.eq(now_known), seen_row.eq(now_row)]
        with m.Elif(self.read_en):
            m.d.sync += seen_known.eq(0)
        for _ in range(self.latency - 1):
            next_known, next_row = Signal.like(seen_known), Signal.like(seen_row)
            m.d.sync += [next_known.eq(seen_known), next_row.eq(seen_row)]
            seen_known, seen_row = next_known, next_row

        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~past | (watched == self.watched), "one row is watched"),
                Assert(~((ram.read_data ^ seen_row) & seen_known).any(), "not the last written"),
            ]
        return m


PROOFS = [
    Proof(
        f"memory.SimpleDualPortRam/reads last written, latency {latency}",
        lambda latency=latency: _ReadsLastWritten(latency),
        depth=12,
        mode="bmc",
    )
    for latency in (1, 2)
]
