"""Proofs of hdl.roce.Timers: what a timeout is, and that none is lost."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.roce.layouts import StrobeLayout
from hdl.roce.opcode import Service
from hdl.roce.peer_layouts import ReplyStateLayout
from hdl.roce.reply_layouts import RnrStrobe
from hdl.roce.send_layouts import SendStateStrobe
from hdl.roce.timers import TIME_BITS, Timers, is_over, timeout_bits
from hdl.roce.work_layouts import SendContextLayout
from tb.memory.followed import follow
from tb.prove import Proof

from .send_copy_proof import follow_copy
from .sizes import least

__all__ = ["PROOFS"]

_CONFIG = least()
#: Cycles from a look to what comes of it; before, it compares times.
_LOOK, _COMPARES = 4, 2


class _Length(wiring.Component):
    """Any two times, of which the first is in the past, or not, and any code."""

    since: Signal
    now: Signal
    code: Signal

    def __init__(self):
        super().__init__({"since": In(TIME_BITS), "now": In(TIME_BITS), "code": In(5)})

    def elaborate(self, platform):
        m = Module()
        elapsed = Signal(TIME_BITS)
        limit = Signal(TIME_BITS)
        m.d.comb += [elapsed.eq(self.now - self.since), limit.eq(C(4, TIME_BITS) << self.code)]
        # Half of all times are ahead: there it is never over.
        is_past = elapsed < 1 << (TIME_BITS - 1)
        expected = is_past & (self.code != 0) & (elapsed >= limit)
        over = is_over(elapsed, timeout_bits(m, self.code))
        with m.If(~ResetSignal()):
            m.d.comb += Assert(over == expected, "4 ticks * 2 ** code, or more")
        return m


class _Watched(Timers):
    """The timers, with a look at what they keep of one queue pair."""

    def __init__(self):
        super().__init__(config=_CONFIG)
        self.pair = Signal(_CONFIG.bits("queue_pairs"))
        self.highest = Signal(24)
        self.is_known = Signal()
        self.told: Any = Signal(data.StructLayout({"valid": 1, "is_rnr_end": 1}))
        self.looks = Signal()
        self.row: Any = Signal(
            data.StructLayout(
                {"oldest": 24, "back": 4, "is_idle": 1, "set_ups": 4, "since": TIME_BITS}
            )
        )
        self.since = Signal(TIME_BITS)
        self.kept_state: Any = Signal(
            data.StructLayout({"oldest": 24, "back": 4, "waits": 1, "failed": 1})
        )
        self.limit: Any = Signal(data.StructLayout({"timeout": 5, "set_ups": 4}))
        self.rnr_end = Signal(TIME_BITS)

    def elaborate(self, platform):
        m: Any = super().elaborate(platform)
        blocks: Any = m.submodules
        kept, row = follow(m, blocks.rows, self.pair)
        m.d.comb += [
            Value.cast(self.row).eq(kept),
            self.since.eq(data.View(self.row.shape(), row).since),
        ]
        for ram, row in (
            (blocks.states, self.kept_state),
            (blocks.limits, self.limit),
            (blocks.rnr_ends, self.rnr_end),
        ):
            m.d.comb += Value.cast(row).eq(follow(m, ram, self.pair)[1])
        now, is_known = follow_copy(m, blocks.sent, self.pair)
        times = blocks.times_queue.i
        m.d.comb += [
            self.highest.eq(now.highest),
            self.is_known.eq(is_known),
            self.looks.eq(self._begins & (self._index == self.pair)),
            self.told.valid.eq(times.valid & (times.p.queue_pair == self.pair)),
            self.told.is_rnr_end.eq(times.p.is_rnr_end),
        ]
        return m


class _Told(wiring.Component):
    """Any queue pair, of which others say what they like, when they like.

    Its time runs while there is a timeout, something is under way, it waits for nothing, and
    nothing of that changes. Behind the first look that has found this, no look sets back since
    when its time runs, but one that tells of a timeout; and each look at which that is as long ago
    as the timeout is tells. That looks come is not shown here, nor that ``times`` has room.
    """

    pair: Signal
    tick: Signal
    state: Any
    send_state: Any
    rnr: Any
    set_up: Any
    context: Any
    ready: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "pair": In(_CONFIG.bits("queue_pairs")),
                "tick": In(1),
                "state": In(ReplyStateLayout(_CONFIG)),
                "send_state": In(SendStateStrobe(_CONFIG)),
                "rnr": In(RnrStrobe(_CONFIG)),
                "set_up": In(StrobeLayout(_CONFIG)),
                "context": In(SendContextLayout(_CONFIG)),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.timers = timers = _Watched()
        for name in ("pair", "tick", "state", "send_state", "rnr", "set_up", "context"):
            m.d.comb += getattr(timers, name).eq(getattr(self, name))
        m.d.comb += timers.times.ready.eq(self.ready)
        same = Signal.like(self.pair)
        started = Signal()
        m.d.sync += [same.eq(self.pair), started.eq(1)]
        strobes = Cat(s.valid for s in (self.state, self.send_state, self.rnr, self.set_up))
        m.d.comb += [
            Assume(~ResetSignal(), "no reset"),
            Assume(~started | (self.pair == same), "one queue pair for all time"),
            Assume(~timers._clearing | ~strobes.any(), "tables are cleared first"),
        ]

        # How things are, as a look finds them: states a cycle after they were told.
        mine: dict[str, Signal] = {}
        for name in ("state", "set_up", "rnr"):
            mine[name] = Signal(name=f"my_{name}")
            strobe = getattr(self, name)
            m.d.comb += mine[name].eq(strobe.valid & (strobe.queue_pair == self.pair))
        known: Any = Signal(timers.kept_state.shape())
        timeout = Signal(5)
        timeout_now = Signal(5)
        m.d.comb += timeout_now.eq(timeout)
        with m.If(mine["state"]):
            m.d.sync += [known[name].eq(self.state[name]) for name, _ in known.shape()]
        with m.If(mine["set_up"]):
            m.d.comb += timeout_now.eq(
                Mux(self.context.service == Service.RC, self.context.timeout, 0)
            )
        m.d.sync += timeout.eq(timeout_now)
        runs = Signal()
        found: Any = Signal(data.StructLayout({"oldest": 24, "back": 4, "runs": 1}))
        before: Any = Signal(found.shape())
        stays = Signal()
        m.d.comb += [
            runs.eq(
                (timeout_now != 0)
                & timers.is_known
                & (known.oldest != timers.highest)
                & ~known.waits
                & ~known.failed
            ),
            found.eq(Cat(known.oldest, known.back, runs)),
            stays.eq(runs & ~mine["set_up"] & (Value.cast(found) == Value.cast(before))),
        ]
        m.d.sync += before.eq(found)

        # Looks on their way: whether nothing has changed since; and how long it was then.
        row, limit = timers.row, timers.limit
        is_seen = Signal()
        holds = Signal()
        m.d.comb += holds.eq(is_seen & stays)
        look = data.StructLayout({"looks": 1, "is_same": 1, "holds": 1, "is_over": 1})
        stages: list[Any] = [Signal(look, name=f"look_{n}") for n in range(_LOOK + 1)]
        elapsed = Signal(TIME_BITS)
        timeout_2 = Signal(5)
        timeout_1 = Signal(5)
        from_1, from_2 = Signal(TIME_BITS), Signal(TIME_BITS)
        m.d.sync += [timeout_1.eq(timeout_now), timeout_2.eq(timeout_1)]
        m.d.sync += [from_1.eq(timers.since), from_2.eq(from_1)]
        m.d.comb += [
            stages[0].looks.eq(timers.looks),
            stages[0].is_same.eq(runs),
            stages[0].holds.eq(holds),
            elapsed.eq(timers._now - from_2),
        ]
        over = is_over(elapsed, timeout_bits(m, timeout_2))
        for n in range(_LOOK):
            m.d.sync += [
                stages[n + 1].looks.eq(stages[n].looks),
                stages[n + 1].is_same.eq(stages[n].is_same & (stays if n else 1)),
                stages[n + 1].holds.eq(stages[n].holds),
                stages[n + 1].is_over.eq(over if n == _COMPARES else stages[n].is_over),
            ]
        last = stages[_LOOK]
        tells = Signal()
        m.d.comb += tells.eq(last.looks & last.holds & last.is_over)
        ends = last.looks & last.is_same & stays
        m.d.sync += is_seen.eq((is_seen & stays) | ends)

        begins = (timers._now + 1)[:TIME_BITS]
        m.d.comb += [
            Assert(~tells | timers.told.valid, "a timeout is lost"),
            Assert(~tells | ~timers.told.is_rnr_end, "as what it is"),
            # What is kept; the proof leans on it.
            Assert(Value.cast(timers.kept_state) == Value.cast(known), "state"),
            Assert(limit.timeout == timeout_now, "timeout"),
            Assert(~timers._clearing | ~Cat(known, timeout).any(), "nothing while it is cleared"),
            Assert(~holds | (row.oldest == known.oldest) & (row.back == known.back), "place"),
            Assert(~holds | ~row.is_idle & (row.set_ups == limit.set_ups), "under way"),
            Assert(
                (timers.since == row.since) | (timers.since == begins),
                "its time runs as before, or from now on",
            ),
            Assert(~tells | (timers.since == begins), "runs anew"),
            Assert(
                ~(last.looks & last.holds & ~timers.told.valid) | (timers.since == row.since),
                "runs on, if it is not told",
            ),
        ]
        if self.cover:
            # One that is set up, sends a packet, and has no reply.
            cycle = Signal(6)
            m.d.sync += cycle.eq(cycle + 1)
            m.d.comb += [
                Assume(
                    self.tick & self.ready & ~self.state.valid & ~self.rnr.valid,
                    "as simple as may be",
                ),
                Assume(
                    (self.context.timeout == 1) & (self.context.service == Service.RC),
                    "as simple as may be",
                ),
                Assume(self.set_up.valid == (cycle == 4), "as simple as may be"),
                Assume(self.send_state.valid == (cycle == 8), "as simple as may be"),
                Assume(
                    ~(self.pair | self.set_up.queue_pair | self.send_state.queue_pair),
                    "as simple as may be",
                ),
                Assume(
                    (self.context.psn == 0) & (self.send_state.highest == 1), "as simple as may be"
                ),
                Cover(last.looks & last.holds, "a look at one whose time runs"),
            ]
        return m


PROOFS = [
    Proof("roce.Timers/a timeout is 4 ticks * 2 ** code", _Length, 1),
    Proof("roce.Timers/no timeout is lost", _Told, 8),
    Proof("roce.Timers/time runs", lambda: _Told(cover=True), 24, "cover"),
]
