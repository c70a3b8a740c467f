"""How many packets each queue pair has had."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .config import RoceConfig

__all__ = ["PacketCount"]


class PacketCount(wiring.Component):
    """Count each queue pair's packets, modulo 16.

    After reset the counts are cleared, a row each cycle.

    Latency is 1 cycle. Throughput is a packet every 2 cycles.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig
        ``queue_pairs`` count.

    Members
    -------
    looks, taken : In(1), In(1)
        Look up ``queue_pair``; a packet of it is taken, in the same cycle.
    queue_pair : In(config.bits("queue_pairs"))
    count : Out(4)
        In the next cycle: that packet's number, of 1 on.
    is_clearing : Out(1)
        Counts are being cleared: no packet may be taken.
    """

    looks: Signal
    taken: Signal
    queue_pair: Signal
    count: Signal
    is_clearing: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "looks": In(1),
                "taken": In(1),
                "queue_pair": In(config.bits("queue_pairs")),
                "count": Out(4),
                "is_clearing": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = SimpleDualPortRam(
            shape=unsigned(4),
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=False,
        )
        is_clearing = Signal(init=1)
        cleared = Signal.like(self.queue_pair)
        taken = Signal()
        taken_pair = Signal.like(self.queue_pair, reset_less=True)
        m.d.sync += [taken.eq(self.taken), taken_pair.eq(self.queue_pair)]
        m.d.comb += [
            self.is_clearing.eq(is_clearing),
            self.count.eq(rows.read_data + 1),
            rows.read_en.eq(self.looks),
            rows.read_address.eq(self.queue_pair),
            rows.write_lanes.eq(taken | is_clearing),
            rows.write_address.eq(Mux(is_clearing, cleared, taken_pair)),
            rows.write_data.eq(Mux(is_clearing, 0, self.count)),
        ]
        with m.If(is_clearing):
            m.d.sync += [
                cleared.eq(cleared + 1),
                is_clearing.eq(cleared != self.config.queue_pairs - 1),
            ]
        return m
