"""From when on each queue pair may send, as its rate has it."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .config import RoceConfig
from .layouts import StrobeLayout
from .send_scheduler import TIME_BITS
from .work_layouts import SendContextLayout

__all__ = ["SendRate"]

_INTERVAL_BITS = 24
#: Who is woken late, by up to 1024 cycles of the wheel and the time until its turn, may make up for
#: it: for 4096 cycles. Whoever did not want to send for longer begins anew.
_BURST_BITS = 20


class SendRate(wiring.Component):
    """Add up what queue pairs send, in time.

    A packet of n bytes moves its queue pair's time by n / 16 intervals, n rounded up to 16. The
    time is exact, so what is sent differs from the rate by a bounded number of bytes: what was
    sent before the charge is there (a packet), and what 4096 cycles may have.

    A packet is charged 6 cycles after ``charge``, and may be charged every second cycle, of one
    queue pair every fourth.

    Specification: docs/roce-requester.md.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    now : In(40)
        Time in 1/256 of a cycle.
    charge, charged, size : In(1), In(config.bits("queue_pairs")), In(14)
        Strobe: a packet of ``size`` bytes was sent.
    set_up, context : In(StrobeLayout(config)), In(SendContextLayout(config))
        Strobe: the queue pair's interval is that of ``context``; it may send at once. Not with
        ``charge``.
    read_en, queue_pair : In(1), In(config.bits("queue_pairs"))
        Of whom ``time`` is to tell, 2 cycles later.
    time : Out(40)
        When it may send next.
    """

    now: Signal
    charge: Signal
    charged: Signal
    size: Signal
    set_up: Any
    context: Any
    read_en: Signal
    queue_pair: Signal
    time: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        queue_pair = config.bits("queue_pairs")
        super().__init__(
            {
                "now": In(TIME_BITS),
                "charge": In(1),
                "charged": In(queue_pair),
                "size": In(14),
                "set_up": In(StrobeLayout(config)),
                "context": In(SendContextLayout(config)),
                "read_en": In(1),
                "queue_pair": In(queue_pair),
                "time": Out(TIME_BITS),
            }
        )
        # State but for the memories; the proof looks at it.
        row = data.StructLayout({"valid": 1, "begins": 1, "queue_pair": queue_pair})
        self._stages: list[Any] = [Signal(row, name=f"stage_{n}") for n in range(6)]
        self._costs = [
            Signal(_INTERVAL_BITS + 10, name=name, reset_less=True)
            for name in ("product", "cost", "cost_4")
        ]
        self._base = Signal(TIME_BITS, name="base", reset_less=True)
        self._new = Signal(TIME_BITS, name="new", reset_less=True)

    def elaborate(self, platform):
        m = Module()
        config = self.config

        def ram(name: str, bits: int, latency: int, *, bypass: bool) -> Any:
            memory = SimpleDualPortRam(
                shape=unsigned(bits),
                depth=config.queue_pairs,
                lane_count=1,
                latency=latency,
                bypass=bypass,
            )
            m.submodules[name] = memory
            return memory

        intervals = ram("intervals", _INTERVAL_BITS, 1, bypass=True)
        times = ram("times", TIME_BITS, 2, bypass=True)
        own = ram("own", TIME_BITS, 1, bypass=True)
        m.d.comb += [
            intervals.write_lanes.eq(self.set_up.valid),
            intervals.write_address.eq(self.set_up.queue_pair),
            intervals.write_data.eq(self.context.interval),
            intervals.read_en.eq(1),
            intervals.read_address.eq(self.charged),
            own.read_en.eq(1),
            times.read_en.eq(self.read_en),
            times.read_address.eq(self.queue_pair),
            self.time.eq(times.read_data),
        ]

        # 1: interval; 2: product; 3: its time is read; 4: from where on; 5: the sum.
        stages, base, new = self._stages, self._base, self._new
        begins = self.set_up.valid
        m.d.comb += [
            stages[0].valid.eq(self.charge | begins),
            stages[0].begins.eq(begins),
            stages[0].queue_pair.eq(Mux(begins, self.set_up.queue_pair, self.charged)),
        ]
        m.d.sync += [after.eq(before) for before, after in pairwise(stages)]
        units = Signal(10, reset_less=True)
        m.d.sync += units.eq((self.size + 15) >> 4)
        product, cost, cost_4 = self._costs
        m.d.sync += [product.eq(self._product(units, intervals.read_data)), cost.eq(product)]
        m.d.comb += own.read_address.eq(stages[2].queue_pair)
        late = Signal(TIME_BITS)
        m.d.comb += late.eq(self.now - own.read_data)
        # Ahead of time by less than any packet takes, or late by little: it goes on from there.
        is_near = (late[_BURST_BITS:] == 0) | late[_INTERVAL_BITS + 10 :].all()
        m.d.sync += [
            base.eq(Mux(is_near, own.read_data, self.now)),
            cost_4.eq(cost),
            new.eq(base + cost_4),
        ]
        for memory in (times, own):
            m.d.comb += [
                memory.write_lanes.eq(stages[5].valid),
                memory.write_address.eq(stages[5].queue_pair),
                memory.write_data.eq(Mux(stages[5].begins, self.now, new)),
            ]
        return m

    def _product(self, units: Value, interval: Value) -> Value:
        # A proof puts any number in its place.
        return units * interval
