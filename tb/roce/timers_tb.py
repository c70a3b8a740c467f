"""cocotb testbench of hdl.roce.Timers: nothing is told before its time, and nothing is lost."""

import json
import os
import random
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import StrobeLayout
from hdl.roce.peer_layouts import ReplyStateLayout
from hdl.roce.reply_layouts import RnrStrobe, TimeLayout
from hdl.roce.send_layouts import SendStateStrobe
from hdl.roce.work_layouts import SendContextLayout
from sim.roce.requester import RNR_TIMES

from ..stream import StreamSink, chance, start
from .ports import Packer
from .strobes import Strobes

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
STEPS = int(os.environ["STEPS"])
PSNS = 1 << 24
TICK = 1024  # ns
#: Cycles of a look at each queue pair.
ROUND = 2 * CONFIG.queue_pairs
#: Cycles from a change to the last event of before.
LATENCY = 12
STATE, SEND_STATE = Packer(ReplyStateLayout(CONFIG)), Packer(SendStateStrobe(CONFIG))
RNR, SET_UP = Packer(RnrStrobe(CONFIG)), Packer(StrobeLayout(CONFIG))
CONTEXT, TIME = Packer(SendContextLayout(CONFIG)), Packer(TimeLayout(CONFIG))


@dataclass
class _QueuePair:
    """A queue pair as strobes have it, and since when."""

    index: int
    oldest: int = 0
    highest: int = 0
    back: int = 0
    waits: bool = False
    failed: bool = False
    code: int = 0
    #: Tick and cycle of the last change.
    since: int = 0
    changed: int = 0
    #: Cycle in which there was last something to be told, by what it is.
    due_at: dict[str, int] = field(default_factory=dict)
    #: Ticks that an RNR NAK asks to wait.
    rnr_ticks: int = 0
    #: Cycle in which what is to be told became due.
    due_since: int | None = None
    #: Cycle in which a timeout was told last.
    told: int = -4000

    @property
    def limit(self) -> float | None:
        """Ticks until it is told, if it ever is."""
        if self.failed:
            return None
        if self.waits:
            return self.rnr_ticks
        return 4 << self.code if self.code and self.oldest != self.highest else None


def _what(waits: bool) -> str:
    return "rnr" if waits else "timeout"


class Bed:
    """Queue pairs that send, get replies, wait; and when that was."""

    def __init__(self, dut, *, period: int, stall: float):
        self.dut = dut
        self.qps = [_QueuePair(index) for index in range(CONFIG.queue_pairs)]
        pauses = chance(stall)
        self.has_begun = False
        self.times = StreamSink(dut, "times", pause=lambda: self.has_begun and pauses())
        self.stall = 400 if stall else 0
        self.period = period
        self.states, self.rnrs = Strobes(dut, "state"), Strobes(dut, "rnr")
        self.send_states = Strobes(dut, "send_state", gap=True)
        self.set_ups = Strobes(dut, "set_up", gap=True)
        self.cycle = self.ticks = 0
        self.is_quiet = False
        self.counts: dict[str, int] = {}
        self.lateness = 0
        dut.tick.value = 0
        dut.context.value = 0

    async def begin(self) -> None:
        """Release reset, and let time pass."""
        await start(self.dut)
        # What the test before left on its way.
        self.times.flush()
        while not self.times.received.empty():
            self.times.received.get_nowait()
        self.has_begun = True
        await ClockCycles(self.dut.clk, CONFIG.queue_pairs + 4)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        ticks = 0
        while True:
            await edge
            self.cycle += 1
            self.ticks += ticks
            ticks = int(self.cycle % self.period == 0)
            self.dut.tick.value = ticks
            while not self.times.received.empty():
                self._tell(TIME.read(self.times.received.get_nowait()))
            for qp in self.qps:
                self._look(qp)

    def _mark(self, qp: _QueuePair, ahead: int = 0) -> None:
        if qp.limit is not None and self.ticks + ahead - qp.since >= qp.limit:
            qp.due_at[_what(qp.waits)] = self.cycle

    def _look(self, qp: _QueuePair) -> None:
        self._mark(qp)
        limit = qp.limit
        if limit is None or self.ticks - qp.since < limit + 4:
            qp.due_since = None
        elif qp.due_since is None:
            qp.due_since = self.cycle
        else:
            late = self.cycle - qp.due_since
            self.lateness = max(self.lateness, late)
            assert late <= 2 * ROUND + 20 + self.stall, f"lost: {qp}"

    def _tell(self, fields: dict[str, int]) -> None:
        qp = self.qps[fields["queue_pair"]]
        what = _what(bool(fields["is_rnr_end"]))
        # With stalls, when the one before was told is not known well enough.
        if not (self.stall and self.cycle - qp.told < 4 * self.stall):
            due = self.cycle - qp.due_at.get(what, -LATENCY - self.stall - 1)
            assert due <= LATENCY + self.stall, f"{what} too early, or for nothing: {qp}"
        is_old = qp.changed > qp.due_at.get(what, 0)
        is_recent = self.cycle - qp.changed <= LATENCY + self.stall
        if (is_old and is_recent) or what != _what(qp.waits) or qp.limit is None:
            self.note(f"{what} crosses")
            return
        self.note(what)
        if what == "timeout":
            self.note(f"code {qp.code}")
            qp.since, qp.told = self.ticks, self.cycle
            qp.due_at.clear()
        qp.due_since = None
        cocotb.start_soon(self._react(qp, qp.changed))

    def note(self, what: str) -> None:
        """Count what came up."""
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _react(self, qp: _QueuePair, changed: int) -> None:
        """Take note of what was told; sometimes somewhat late, or never of a timeout."""
        await ClockCycles(self.dut.clk, random.choice([1, 8, 12, 40]))
        if qp.changed != changed or self.is_quiet:
            return
        if qp.waits:
            await self.change(qp, waits=False)
        elif random.random() < 0.5:
            await self.change(qp, back=qp.back + 1)

    async def change(self, qp: _QueuePair, *, rnr: int | None = None, **fields: Any) -> None:
        """Let replies, or time, make something else of a queue pair."""
        async with self.states.lock:
            # A look that has begun goes by the time at its end.
            self._mark(qp, 5)
            for name, value in fields.items():
                setattr(qp, name, value)
            qp.since, qp.changed, qp.due_since = self.ticks, self.cycle, None
            self.dut.state.value = STATE.pack(
                valid=1,
                queue_pair=qp.index,
                oldest=qp.oldest % PSNS,
                back=qp.back % 16,
                waits=qp.waits,
                failed=qp.failed,
                allowed=random.getrandbits(24),
            )
            if rnr is not None:
                qp.rnr_ticks = -(-RNR_TIMES[rnr] // TICK)
                self.dut.rnr.value = RNR.pack(valid=1, queue_pair=qp.index, code=rnr)
            await RisingEdge(self.dut.clk)
            self.dut.state.value = 0
            self.dut.rnr.value = 0

    async def send(self, qp: _QueuePair, count: int) -> None:
        """Send some packets."""
        if qp.oldest == qp.highest and not qp.waits:
            qp.since, qp.changed = self.ticks, self.cycle
        qp.highest += count
        strobe = SEND_STATE.pack(valid=1, queue_pair=qp.index, highest=qp.highest % PSNS)
        await self.send_states.give(strobe)

    async def set_up(self, qp: _QueuePair, code: int, *, is_rc: bool = True) -> None:
        """Set a queue pair up."""
        async with self.set_ups.lock:
            psn = random.choice([qp.oldest, random.randrange(PSNS)])
            fields = {"back": 0, "waits": False, "failed": False}
            qp.code = 0
            await self.change(qp, oldest=psn, highest=psn, **fields)
            self.dut.context.value = CONTEXT.pack(
                timeout=code, psn=psn % PSNS, service=0 if is_rc else 1
            )
            qp.code = code if is_rc else 0
            self.dut.set_up.value = SET_UP.pack(valid=1, queue_pair=qp.index)
            await RisingEdge(self.dut.clk)
            self.dut.set_up.value = 0
            await RisingEdge(self.dut.clk)

    async def live(self, qp: _QueuePair) -> None:
        """Life of a queue pair."""
        edge = self.dut.clk
        await self.set_up(qp, random.choice([1, 2, 3, 5, 7]))
        for _ in range(STEPS // CONFIG.queue_pairs):
            draw = random.random()
            if draw < 0.3:
                await self.send(qp, random.choice([1, 3, 100]))
            elif draw < 0.5 and qp.oldest < qp.highest:
                oldest = random.choice([qp.highest, random.randint(qp.oldest + 1, qp.highest)])
                await self.change(qp, oldest=oldest, waits=False)
            elif draw < 0.57 and qp.oldest < qp.highest and not qp.waits and not qp.failed:
                code = random.choice([1, 2, 3, 4, 5, 6, 8])
                await self.change(qp, rnr=code, waits=True, back=qp.back + 1)
            elif draw < 0.59:
                await self.change(qp, failed=True)
            elif draw < (0.7 if qp.failed else 0.61):
                code = random.choice([0, 1, 2, 3, 5, 7, 31])
                await self.set_up(qp, code, is_rc=random.random() < 0.9)
            elif draw < 0.8:
                await ClockCycles(edge, random.choice([1, 2, 3, 8, ROUND]))
            else:
                longest = (qp.limit or 0) if qp.code != 31 else 0
                await ClockCycles(
                    edge, random.randint(1, 40 + 3 * self.period * int(min(longest, 400)))
                )


@cocotb.test(timeout_time=40, timeout_unit="ms")
@cocotb.parametrize(period=[1, 5], stall=[0.0, 0.9])
async def nothing_is_early_or_lost(dut, period, stall):
    """Let all queue pairs live at the same time."""
    bed = Bed(dut, period=period, stall=stall)
    await bed.begin()
    lives = [cocotb.start_soon(bed.live(qp)) for qp in bed.qps]
    for life in lives:
        await life
    dut._log.info("%s late %d", sorted(bed.counts.items()), bed.lateness)
    assert {"rnr", "timeout", "code 1", "code 2", "code 3"} <= {*bed.counts}


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def each_rnr_code_has_its_time(dut):
    """Let a queue pair wait for each code but the longest ones, with a tick a cycle."""
    bed = Bed(dut, period=1, stall=0.0)
    await bed.begin()
    qp = bed.qps[1]
    await bed.set_up(qp, 31)
    await bed.send(qp, 5)
    for code, time in enumerate(RNR_TIMES):
        if time > 50_000_000:
            continue
        waited = bed.counts.get("rnr", 0)
        await bed.change(qp, rnr=code, waits=True, back=qp.back + 1)
        while qp.waits:
            await RisingEdge(dut.clk)
        assert bed.counts["rnr"] > waited
    assert set(bed.counts) <= {"rnr", "rnr crosses"}
