"""Credits of TLPs that leave."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..pcie.parts import CreditAmountsLayout
from ..pcie.receive_credits import RETURNED_BITS
from ..pcie.tlp import CLASS_COUNT, TlpBeatLayout, class_of, data_credits

__all__ = ["CreditReturn"]


class CreditReturn(wiring.Component):
    """Give back the credits of TLPs, each with its last segment and by its Length field.

    Latency is 2 cycles. Throughput is 1 beat per cycle.

    Specification: PCI Express Base Specification, 2.6.1, flow control rules.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.

    Members
    -------
    i : In(TlpBeatLayout(segment_count))
        Beats that leave: well-formed TLPs; ``valid`` is 0 in a cycle without one.
    freed : Out(CreditAmountsLayout(3, 11))
        Credits, registered.
    """

    i: Any
    freed: Any

    def __init__(self, *, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(TlpBeatLayout(segment_count)),
                "freed": Out(CreditAmountsLayout(*RETURNED_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        open_class = Signal(2, reset_less=True)
        open_cost = Signal(9, reset_less=True)
        lane_class: Value = open_class
        lane_cost: Value = open_cost
        lanes = []
        for n, segment in enumerate(self.i.segments):
            now_class = Signal(2, name=f"class_{n}")
            now_cost = Signal(9, name=f"cost_{n}")
            ends = Signal(CLASS_COUNT, name=f"ends_{n}")
            cost = Signal(9, name=f"ended_cost_{n}", reset_less=True)
            m.d.comb += [
                now_class.eq(Mux(segment.sop, class_of(segment.header), lane_class)),
                now_cost.eq(Mux(segment.sop, data_credits(segment.header), lane_cost)),
            ]
            lane_class, lane_cost = now_class, now_cost
            leaves = self.i.valid[n] & segment.eop
            m.d.sync += [
                ends.eq(Cat(leaves & (now_class == c) for c in range(CLASS_COUNT))),
                cost.eq(now_cost),
            ]
            lanes.append((ends, cost))
        with m.If(self.i.valid[-1]):
            m.d.sync += [open_class.eq(lane_class), open_cost.eq(lane_cost)]

        for c in range(CLASS_COUNT):
            costs = [cost & ends[c].replicate(len(cost)) for ends, cost in lanes]
            m.d.sync += [
                self.freed[c].headers.eq(sum(ends[c] for ends, _ in lanes)),
                self.freed[c].data.eq(sum(costs[1::2], C(0, 1)) + sum(costs[::2], C(0, 1))),
            ]
        return m
