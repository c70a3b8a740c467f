"""Proofs of hdl.roce.SendRate: who keeps to its times sends no more than its rate has."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.layouts import StrobeLayout
from hdl.roce.send_rate import SendRate
from hdl.roce.send_scheduler import TIME_BITS
from tb.memory.followed import follow
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]

_CONFIG = least()
#: A cycle, and what may be made up for, in 1/256 of a cycle: that is looked at 2 cycles before.
_CYCLE = 256
_LATE = 1 << 20
_BURST = _LATE + 2 * _CYCLE
#: Whoever is ahead of its time by more is not: as hdl.roce.send_find has it.
_FAR_BIT = 34
#: Units of 16 bytes of the longest packet: 4096 bytes, and 82 for what is around them.
_UNITS = (4096 + 82 + 15) // 16
_MOST = _UNITS * ((1 << 24) - 1)
_COST_BITS = 34
#: From a turn to its packet and to the charge, with wide beats; and from there to the new time.
_TO_PACKET, _TO_CHARGE, _TO_TIME = 2, 4, 5
_WRITTEN = _TO_CHARGE - _TO_PACKET + _TO_TIME
#: Turns of one queue pair are that far apart; so many packets were sent, and not charged.
_APART, _UNSEEN = 4, 2
#: The block is as a model; that is as one without times; of that the others are.
_TOPICS = ("model", "distance", "ahead", "bucket")


class _Watched(SendRate):
    """One queue pair's time; what packets cost is any number."""

    def __init__(self):
        super().__init__(config=_CONFIG)
        self.pair = Signal(_CONFIG.bits("queue_pairs"))
        self.product = Signal(_COST_BITS)
        self.costs = [Signal(_COST_BITS, name=f"cost_{n}") for n in range(3)]
        self.other = Signal(TIME_BITS)
        self.kept = Signal(TIME_BITS)
        self.own = Signal(TIME_BITS)

    def _price(self, m: Module, units: Value, interval: Value) -> Value:
        for before, after in pairwise([self.product, *self.costs]):
            m.d.sync += after.eq(before)
        return self.costs[-1]

    def elaborate(self, platform):
        m: Any = super().elaborate(platform)
        other, _ = follow(m, m.submodules.times, self.pair)
        kept, now = follow(m, m.submodules.own, self.pair)
        m.d.comb += [self.other.eq(other), self.kept.eq(kept), self.own.eq(now)]
        return m


def _history(m: Module, name: str, value: Value, cycles: int) -> list[Value]:
    """``value`` of this cycle and of so many before."""
    values = [value]
    for n in range(cycles):
        values.append(Signal(value.shape(), name=f"{name}_{n + 1}"))
        m.d.sync += values[-1].eq(values[-2])
    return values


class _Rate(wiring.Component):
    """Any queue pair has turns, and sends a packet if its time has come; others do what they like.

    What it sends goes into a bucket that leaks as fast as its rate has it. So what is in there is
    the most that was sent in any time up to now beyond what the rate allows in that time.
    """

    pair: Signal
    has_turn: Signal
    wants: Signal
    cost: Signal
    other_charge: Signal
    set_up: Any
    read_en: Signal
    queue_pair: Signal

    def __init__(self, topic: str):
        self.topic = topic
        bits = _CONFIG.bits("queue_pairs")
        super().__init__(
            {
                "pair": In(bits),
                "has_turn": In(1),
                "wants": In(1),
                "cost": In(_COST_BITS),
                "other_charge": In(1),
                "set_up": In(StrobeLayout(_CONFIG)),
                "read_en": In(1),
                "queue_pair": In(bits),
            }
        )

    def _check(self, topic: str) -> Callable[[Any, str], Any]:
        """Assert what the topic is, assume those before, and leave those behind."""
        mine, its = _TOPICS.index(self.topic), _TOPICS.index(topic)
        return Assert if its == mine else Assume if its < mine else lambda *_: []

    def elaborate(self, platform):
        m = Module()
        now = Signal(TIME_BITS)
        m.d.sync += now.eq(now + _CYCLE)

        # The model: by how much a queue pair's time is ahead, before and behind what is written in
        # this cycle. A turn finds what is there, 2 cycles later.
        kept = Signal(signed(TIME_BITS))
        ahead = Signal(signed(TIME_BITS))
        m.d.sync += kept.eq(ahead - _CYCLE)
        aheads = _history(m, "ahead", ahead, 2)
        has_times = self.topic in ("model", "distance")
        time_kept = Signal(TIME_BITS)
        time = Signal(TIME_BITS)
        time_ahead = Signal(signed(TIME_BITS))
        if has_times:
            m.d.sync += time_kept.eq(time)
            m.d.comb += time_ahead.eq(time - now)
        time_aheads = _history(m, "time_ahead", time_ahead, 2)
        turns = _history(m, "turn", self.has_turn, _WRITTEN + 1 + _TO_PACKET)
        early = Signal(TIME_BITS)
        sends = Signal()
        m.d.comb += [
            early.eq(aheads[_TO_PACKET] - _TO_PACKET * _CYCLE),
            sends.eq(turns[_TO_PACKET] & self.wants & (early[_FAR_BIT:].any() | ~early.any())),
        ]
        packets = _history(m, "packet", sends, _WRITTEN + 1)
        begins = self.set_up.valid & (self.set_up.queue_pair == self.pair)
        set_ups = _history(m, "set_up", begins, _TO_TIME)
        costs = _history(m, "cost", self.cost, _TO_TIME - 1)
        # From where on it goes is known 2 cycles before.
        nears = [(a > -_LATE) & (a <= 1 << _FAR_BIT) for a in aheads]
        comes, goes = packets[_WRITTEN - 1], packets[_WRITTEN]
        new = Signal(signed(TIME_BITS))
        m.d.comb += [
            new.eq(Mux(nears[2], kept, -2 * _CYCLE) + costs[-1]),
        ]
        if self.topic == "model":
            m.d.comb += ahead.eq(time_ahead)
        else:
            m.d.comb += ahead.eq(Mux(set_ups[-1], 0, Mux(goes, new, kept)))
        time_nears = [(a > -_LATE) & (a <= 1 << _FAR_BIT) for a in time_aheads]
        time_new = Signal(TIME_BITS)
        time_base = Mux(time_nears[1], time, (now - _CYCLE)[:TIME_BITS])
        sum_from = Mux(time_nears[2], time_kept, (now - 2 * _CYCLE)[:TIME_BITS])
        if has_times:
            m.d.comb += [
                time_new.eq(sum_from + costs[-1]),
                time.eq(Mux(set_ups[-1], now, Mux(goes, time_new, time_kept))),
            ]

        same = Signal.like(self.pair)
        started = Signal()
        m.d.sync += [same.eq(self.pair), started.eq(1)]
        m.d.comb += [
            Assume(~ResetSignal(), "no reset"),
            Assume(~started | (self.pair == same), "one queue pair for all time"),
            Assume(self.cost <= _MOST, "what packets cost at most"),
            Assume(~self.has_turn | ~Cat(turns[1:_APART]).any(), "one turn at a time"),
            Assume(~begins | ~Cat(turns[: _TO_CHARGE + 1]).any(), "a set-up is a turn, too"),
            Assume(~self.has_turn | ~Cat(set_ups[1:]).any(), "behind it the mark passes"),
            Assume(ahead >= _BURST - (1 << (TIME_BITS - 1)), "no rest so long that time wraps"),
        ]
        self._follow(m, packets, set_ups, costs, turns)
        if self.topic == "model":
            m.submodules.rate = rate = _Watched()
            charges = packets[_TO_CHARGE - _TO_PACKET]
            m.d.comb += [
                rate.pair.eq(self.pair),
                rate.product.eq(self.cost),
                rate.now.eq(now),
                rate.charge.eq(charges | self.other_charge),
                rate.charged.eq(Mux(charges, self.pair, ~self.pair)),
                rate.set_up.eq(self.set_up),
                rate.read_en.eq(self.has_turn | self.read_en),
                rate.queue_pair.eq(Mux(self.has_turn, self.pair, self.queue_pair)),
                Assume(~(rate.charge & self.set_up.valid), "not together"),
                Assert(rate.own == time, "its time"),
                Assert((rate.kept == time_kept) & (rate.other == time_kept), "both alike"),
                Assert(~turns[_TO_PACKET] | ((rate.time - now)[:TIME_BITS] == early), "found"),
                Assert(~comes | (rate._base == time_base), "from where on"),
                Assert(~goes | (rate._new == time_new), "sum"),
            ]
            self._follow_stages(m, rate, packets, set_ups, costs)
            return m

        if self.topic == "distance":
            pairs = zip(aheads, time_aheads, strict=True)
            m.d.comb += [
                Assert(a == b, f"as far, {n} cycles ago") for n, (a, b) in enumerate(pairs)
            ]
            return m

        # Three packets at most.
        pending = Signal(range(len(packets)))
        m.d.comb += pending.eq(sum(packets[:_WRITTEN]))
        limit = (_UNSEEN + 1) * _MOST + 2 * _CYCLE
        check = self._check("ahead")
        m.d.comb += check(pending <= _UNSEEN, "few are under way")
        for n in range(_UNSEEN + 1):
            m.d.comb += check((pending != n) | (ahead <= limit - n * _MOST), f"ahead by {n} less")

        # The bucket. Between a look and what comes of it 2 cycles pass.

        def drained(level: Value, cycles: int) -> Value:
            return Mux(level > cycles * _CYCLE, (level - cycles * _CYCLE)[:TIME_BITS], 0)

        bucket = Signal(TIME_BITS)
        full = Signal(TIME_BITS)
        m.d.comb += full.eq(Mux(set_ups[-1], 0, bucket + Mux(goes, costs[-1], 0)))
        m.d.sync += bucket.eq(drained(full, 1))
        found = _history(m, "full", full, 2)
        check = self._check("bucket")
        m.d.comb += [
            Assert(~comes | (kept == aheads[1] - _CYCLE), "as it was a cycle ago"),
            Assert(~goes | (kept == aheads[2] - 2 * _CYCLE), "as it was 2 cycles ago"),
            check(~comes | (bucket == drained(found[1], 1)), "bucket as it was a cycle ago"),
            check(~goes | (bucket == drained(found[2], 2)), "bucket as it was 2 cycles ago"),
        ]
        for n in range(3):
            fits = (aheads[n] >= -_BURST) & (found[n] <= aheads[n] + _BURST)
            m.d.comb += check((found[n] == 0) | fits, f"bucket, {n} cycles ago")
        m.d.comb += [
            check(~sends | (found[2] <= _BURST + 2 * _CYCLE), "more than the rate has"),
            check(~sends | (sum(packets[1:]) <= _UNSEEN), "packets that were not charged"),
            Cover(sends & (full != 0) & (found[2] > 0), "some of what it may"),
            Cover(sends & packets[4] & packets[8], "three before one is charged"),
        ]
        return m

    def _follow(self, m: Module, *histories: Sequence[Value]) -> None:
        """Keep turns apart, and packets theirs."""
        packets, set_ups, costs, turns = histories
        for n, packet in enumerate(packets):
            m.d.comb += Assert(~packet | turns[n + _TO_PACKET], f"a packet of a turn, at {n}")
        for n, cost in enumerate(costs[1:]):
            m.d.comb += Assert(cost <= _MOST, f"costs what it may, at {n}")
        for n, turn in enumerate(turns):
            close = turns[n + 1 : n + _APART]
            behind = set_ups[max(0, n - _TO_CHARGE) :]
            m.d.comb += Assert(~turn | ~Cat(close, behind).any(), f"turns apart, at {n}")

    def _follow_stages(self, m: Module, rate: Any, *histories: Sequence[Value]) -> None:
        """Who is where, and what it costs."""
        packets, set_ups, costs = histories
        first = _TO_CHARGE - _TO_PACKET
        for n in range(1, _TO_TIME + 1):
            stage = rate._stages[n]
            mine = stage.valid & (stage.queue_pair == self.pair)
            m.d.comb += [
                Assert(mine == (packets[first + n] | set_ups[n]), f"who is at {n}"),
                Assert(~mine | (stage.begins == set_ups[n]), f"what is at {n}"),
            ]
        for n, cost in enumerate(rate.costs, 1):
            m.d.comb += Assert(cost == costs[n], f"what it costs, at {n + 1}")


PROOFS = [
    *(
        Proof(f"roce.SendRate/{what}", lambda topic=topic: _Rate(topic), 4)
        for topic, what in (
            ("model", "as the model"),
            ("distance", "as the model without times"),
            ("ahead", "ahead by three packets at most"),
            ("bucket", "never more than the rate has, and 4096 cycles more"),
        )
    ),
    Proof("roce.SendRate/all that it has", lambda: _Rate("bucket"), 14, "cover"),
]
