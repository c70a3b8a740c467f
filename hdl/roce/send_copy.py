"""How far queue pairs have been sent, as others than the one who sends know it."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

from .config import RoceConfig
from .send_layouts import SendStateStrobe

__all__ = ["SendCopy", "SendCopyLayout"]


class SendCopyLayout(data.StructLayout):
    """Fields of :class:`SendStateStrobe` that are kept."""

    def __init__(self, config: RoceConfig):
        fields = dict(SendStateStrobe(config))
        super().__init__({name: fields[name].shape for name in ("highest", "tail")})


class SendCopy(wiring.Component):
    """Keep what ``send_state`` says of each queue pair.

    A queue pair that is set up has sent nothing; its reader says so here, since what was said
    before must not outlive the set-up.

    Latency of a read is 2 cycles; it sees what came in its own cycle, and a set-up of 2 cycles
    before. Throughput is a read and a strobe per cycle, one less for each set-up.

    Specification: docs/roce-requester.md.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    send_state : In(SendStateStrobe(config))
        Strobe; not in two cycles that follow each other. Of a queue pair that is set up, none
        comes between the last one of before and the ``set_up`` strobe, nor together with it.
    set_up : In({valid, queue_pair, psn})
        Strobe: the queue pair begins at ``psn``. Not in two cycles that follow each other.
    read_en, read_address : In(1), In(config.bits("queue_pairs"))
    read_data : Out(SendCopyLayout(config))
        What the last read found.
    """

    send_state: Any
    set_up: Any
    read_en: Signal
    read_address: Signal
    read_data: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        pair = config.bits("queue_pairs")
        super().__init__(
            {
                "send_state": In(SendStateStrobe(config)),
                "set_up": In(data.StructLayout({"valid": 1, "queue_pair": pair, "psn": 24})),
                "read_en": In(1),
                "read_address": In(pair),
                "read_data": Out(SendCopyLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = SimpleDualPortRam(
            shape=SendCopyLayout(self.config),
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=2,
            bypass=True,
        )
        fresh: Any = Signal(self.set_up.shape())
        row: Any = Signal(SendCopyLayout(self.config))
        m.d.comb += [
            rows.read_en.eq(self.read_en),
            rows.read_address.eq(self.read_address),
            self.read_data.eq(rows.read_data),
            rows.write_data.eq(row),
        ]
        with m.If(self.send_state.valid):
            m.d.comb += [
                rows.write_lanes.eq(1),
                rows.write_address.eq(self.send_state.queue_pair),
                row.highest.eq(self.send_state.highest),
                row.tail.eq(self.send_state.tail),
            ]
            with m.If(self.send_state.queue_pair == fresh.queue_pair):
                m.d.sync += fresh.valid.eq(0)
        with m.Else():
            m.d.comb += [
                rows.write_lanes.eq(fresh.valid),
                rows.write_address.eq(fresh.queue_pair),
                row.highest.eq(fresh.psn),
            ]
            m.d.sync += fresh.valid.eq(0)
        with m.If(self.set_up.valid):
            m.d.sync += fresh.eq(self.set_up)
        return m
