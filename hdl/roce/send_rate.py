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
#: A packet of 16 KiB takes less.
_AHEAD_BITS = _INTERVAL_BITS + 10
#: Sums are made in halves; the low one is also what may be made up for.
_HALF = _BURST_BITS


class SendRate(wiring.Component):
    """Add up what queue pairs send, in time.

    A packet of n bytes moves its queue pair's time by n / 16 intervals, n rounded up to 16. The
    time is exact, so what is sent differs from the rate by a bounded number of bytes: what was
    sent before the charge is there (with wide beats two packets at most, and the one that is sent),
    and what 4096 cycles may have. Whoever rests for 2**40 units may find its time ahead, by less
    than 2**34.

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
        self._base = Signal(TIME_BITS, name="base", reset_less=True)
        self._new = Signal(TIME_BITS, name="new")

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

        # 1: interval; 2, 3, 4: the price, its time is read, and from where on; 5: the new time, in
        # halves, and the low one's carry.
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
        cost = self._price(m, units, intervals.read_data)
        m.d.comb += own.read_address.eq(stages[2].queue_pair)
        new_low = Signal(_HALF + 1, reset_less=True)
        new_high = Signal(TIME_BITS - _HALF, reset_less=True)
        m.d.sync += [
            base.eq(Mux(self._is_near(m, own.read_data), own.read_data, self.now)),
            new_low.eq(base[:_HALF] + cost[:_HALF]),
            new_high.eq(base[_HALF:] + cost[_HALF:]),
        ]
        m.d.comb += new.eq(Cat(new_low[:_HALF], new_high + new_low[_HALF]))
        for memory in (times, own):
            m.d.comb += [
                memory.write_lanes.eq(stages[5].valid),
                memory.write_address.eq(stages[5].queue_pair),
                memory.write_data.eq(Mux(stages[5].begins, self.now, new)),
            ]
        return m

    def _price(self, m: Module, units: Value, interval: Value) -> Value:
        """Time of so many units, 3 cycles later; there is one carry chain in each of them.

        Two bits of the units each; two sums; and the three that are left become two by full adders,
        and then one. A proof puts any number in its place.
        """
        parts = [Signal(_INTERVAL_BITS + 2, name=f"part_{n}", reset_less=True) for n in range(5)]
        low = Signal(_INTERVAL_BITS + 4, reset_less=True)
        middle = Signal(_INTERVAL_BITS + 4, reset_less=True)
        high = Signal(_INTERVAL_BITS + 2, reset_less=True)
        cost = Signal(_INTERVAL_BITS + 10, reset_less=True)
        m.d.sync += [
            *(
                part.eq(Mux(two[0], interval, 0) + (Mux(two[1], interval, 0) << 1))
                for part, two in zip(
                    parts, (units[n : n + 2] for n in range(0, 10, 2)), strict=True
                )
            ),
            low.eq(parts[0] + (parts[1] << 2)),
            middle.eq(parts[2] + (parts[3] << 2)),
            high.eq(parts[4]),
        ]
        a, b, c = (Signal.like(cost, name=name) for name in "abc")
        m.d.comb += [a.eq(low), b.eq(middle << 4), c.eq(high << 8)]
        m.d.sync += cost.eq((a ^ b ^ c) + (((a & b) | (a & c) | (b & c)) << 1))
        return cost

    def _is_near(self, m: Module, time: Value) -> Value:
        """Whether ``time`` is ahead by less than any packet takes, or late by little.

        Then it goes on from there. The difference is made in halves, the high one with what the low
        one borrows, and without.
        """
        now = self.now
        borrows = Signal()
        m.d.comb += borrows.eq(now[:_HALF] < time[:_HALF])
        near = []
        for borrowed in range(2):
            late = Signal(TIME_BITS - _HALF, name=f"late_{borrowed}")
            m.d.comb += late.eq(now[_HALF:] - time[_HALF:] - borrowed)
            near.append(~late.any() | late[_AHEAD_BITS - _HALF :].all())
        return Mux(borrows, near[1], near[0])
