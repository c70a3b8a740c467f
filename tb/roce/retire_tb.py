"""cocotb testbench of hdl.roce.Retire: each work request ends once, in order, as it should."""

import json
import os
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, Event, Lock, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import ActionLayout, StrobeLayout
from hdl.roce.peer_layouts import ReplyStateLayout, RetiredLayout
from hdl.roce.send_layouts import OutstandingWriteLayout, SendStateStrobe
from hdl.roce.work_layouts import SendContextLayout

from ..stream import StreamSink, StreamSource, chance, start
from .ports import Packer
from .strobes import Strobes

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
STEPS = int(os.environ["STEPS"])
PSNS = 1 << 24
DEPTH = CONFIG.send_requests
FLUSHED = 4
#: Queue pairs in use: few, so that they meet.
USED = 5
ACTION, RETIRED = Packer(ActionLayout(CONFIG)), Packer(RetiredLayout(CONFIG))
OUTSTANDING, STATE = Packer(OutstandingWriteLayout(CONFIG)), Packer(ReplyStateLayout(CONFIG))
SEND_STATE, CONTEXT = Packer(SendStateStrobe(CONFIG)), Packer(SendContextLayout(CONFIG))
DONE = Packer(StrobeLayout(CONFIG))


@dataclass
class _QueuePair:
    """A queue pair: what has begun, and what has ended. PSNs and sequences do not wrap."""

    index: int
    context: dict[str, int] = field(default_factory=dict)
    begun: deque[dict[str, Any]] = field(default_factory=deque)
    sequence: int = 0
    psn: int = 0
    oldest: int = 0
    locals: int = 0
    failed: bool = False
    status: int = 0
    # What ended, as it should be told: position, completion.
    expected: deque[tuple[dict[str, int], dict[str, int] | None]] = field(default_factory=deque)
    due: deque[dict[str, int]] = field(default_factory=deque)
    # Something has ended of which nobody was told since.
    owes_kick: bool = False

    @property
    def room(self) -> int:
        """Work requests that may begin."""
        return DEPTH - len(self.begun) - len(self.expected)

    def begin(self) -> dict[str, Any]:
        """Begin a work request."""
        is_local = random.random() < 0.2
        # Behind what was flushed they need not be near the oldest one.
        far = [1 << 23] if self.failed and self.status == FLUSHED else []
        self.psn += 0 if is_local else random.choice([1, 1, 2, 300, 1 << 20, *far])
        self.sequence += 1
        row = {
            "end": {
                "sequence": self.sequence % (2 * DEPTH),
                "slot": random.getrandbits(16),
                "psn": self.psn % PSNS,
                "reads": random.randrange(2 * CONFIG.resources),
                "msn": random.getrandbits(24),
            },
            "slot": random.getrandbits(16),
            "kind": random.randrange(7),
            "is_local": int(is_local),
            "signalled": random.randrange(2),
            "length": random.getrandbits(32),
        }
        self.begun.append({**row, "last": self.psn})
        if self.failed:
            self._flush()
        return row

    def _end(self, status: int) -> None:
        row = self.begun.popleft()
        completion = None
        if row["signalled"] or status:
            completion = {
                "valid": 1,
                "is_send": 1,
                "queue": self.context["completion_queue"],
                "queue_pair": self.context["number"],
                "value": row["slot"],
                "source_queue_pair": row["kind"],
                "byte_length": 0 if status else row["length"],
                "status": status,
            }
        self.expected.append((row["end"], completion))

    def advance(self, oldest: int) -> None:
        """Let all before ``oldest`` be acknowledged."""
        self.oldest = oldest
        while self.begun and not self.begun[0]["is_local"] and self.begun[0]["last"] <= oldest:
            self._end(0)

    def end_local(self) -> None:
        """Let the oldest one, a local one, end."""
        self.locals += 1
        self._end(0)
        self.advance(self.oldest)

    def fail(self, status: int) -> None:
        """Go to error."""
        self.failed, self.status = True, status
        self._flush()

    def _flush(self) -> None:
        while self.begun:
            self._end(self.status)
            self.status = FLUSHED

    def state(self, status: int) -> int:
        """Make the strobe."""
        return STATE.pack(
            valid=1,
            queue_pair=self.index,
            oldest=self.oldest % PSNS,
            locals=self.locals % 16,
            failed=self.failed,
            status=status,
        )


class Bed:
    """Whoever sends, whoever takes replies, the driver; and what must come of it."""

    def __init__(self, dut, *, pause: float = 0.0, stall: float = 0.0):
        self.dut = dut
        self.qps = [_QueuePair(index) for index in range(CONFIG.queue_pairs)]
        self.outstanding = Strobes(dut, "outstanding")
        self.send_state = Strobes(dut, "send_state", gap=True)
        self.states = Strobes(dut, "state")
        self.kicks = StreamSource(dut, "kicks", pause=chance(pause))
        self.set_ups = StreamSource(dut, "set_up")
        self.actions = StreamSink(dut, "actions", pause=chance(stall))
        self.kicks_out = StreamSink(dut, "kicks_out", pause=chance(stall))
        self.set_up_lock = Lock()
        self.done = Event()
        self.fresh: int | None = None
        self.counts: dict[str, int] = {}
        self.ends: list[int] = []
        self.cycle = self.kicked = 0
        dut.context.value = 0

    async def begin(self) -> None:
        """Release reset, and wait until rows are cleared."""
        cocotb.start_soon(self._watch())
        await start(self.dut)
        await ClockCycles(self.dut.clk, CONFIG.queue_pairs + 4)

    def note(self, what: str) -> None:
        """Count what came up."""
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.cycle += 1
            retired = int(self.dut.retired.value)
            if retired & 1:
                self._retire(RETIRED.read(retired))
            done = int(self.dut.done.value)
            if done & 1:
                assert self.fresh is None, "its position was not told"
                assert DONE.read(done)["queue_pair"] == self.setting_up
                self.done.set()
            while not self.actions.received.empty():
                action = ACTION.read(self.actions.received.get_nowait())
                self._complete(action)
            while not self.kicks_out.received.empty():
                qp = self.qps[self.kicks_out.received.get_nowait()]
                qp.owes_kick = False
                self.kicked += 1
                assert self.kicked <= len(self.ends), "kicked for nothing"

    def _retire(self, fields: dict[str, Any]) -> None:
        qp, position = self.qps[fields["queue_pair"]], fields["position"]
        if self.fresh is not None and qp.index == self.setting_up:
            wanted = {"sequence": 0, "slot": 0, "psn": self.fresh, "reads": 0, "msn": 0}
            assert position == wanted
            self.fresh = None
            return
        assert qp.expected, f"nothing of {qp.index} has ended: {position}"
        wanted, completion = qp.expected.popleft()
        assert position == wanted, (position, wanted)
        qp.owes_kick = True
        self.ends.append(self.cycle)
        if completion:
            qp.due.append(completion)

    def _complete(self, action: dict[str, Any]) -> None:
        qp = self.qps[action["queue_pair"]]
        assert qp.due, "a completion of what has not been retired"
        wanted = qp.due.popleft()
        self.note(f"status {wanted['status']}")
        assert action["has_packet"] == action["kind"] == action["event"]["kind"] == 0
        found = action["completion"]
        assert {name: found[name] for name in wanted} == wanted, (found, wanted)
        assert sum(found.values()) == sum(wanted.values()), "and nothing else"

    async def say(self, qp: _QueuePair, status: int = 0) -> None:
        """Tell what replies have made of a queue pair, and kick it."""
        value = qp.state(status)
        await self.states.give(value)
        self.kick(qp)

    def kick(self, qp: _QueuePair) -> None:
        """Kick a queue pair."""
        for _ in range(random.choice([1, 1, 1, 2])):
            self.kicks.send_value(qp.index)

    async def post(self, qp: _QueuePair, count: int) -> None:
        """Begin some work requests."""
        for left in reversed(range(min(count, qp.room))):
            row = qp.sequence % DEPTH
            write = OUTSTANDING.pack(valid=1, queue_pair=qp.index, sequence=row, row=qp.begin())
            strobe = SEND_STATE.pack(
                valid=1,
                queue_pair=qp.index,
                tail=qp.sequence % (2 * DEPTH),
                highest=random.getrandbits(24),
            )
            if left:
                await self.outstanding.give(write)
                continue
            # The last one is told in the cycle in which it is written.
            async with self.outstanding.lock, self.send_state.lock:
                self.outstanding.port.value, self.send_state.port.value = write, strobe
                await RisingEdge(self.dut.clk)
                self.outstanding.port.value = self.send_state.port.value = 0
                await RisingEdge(self.dut.clk)
        if qp.failed:
            self.kick(qp)

    async def set_up(self, qp: _QueuePair) -> None:
        """Set a queue pair up of which all has ended."""
        async with self.set_up_lock:
            psn = random.choice([0, PSNS - 1, PSNS - 100, random.randrange(PSNS)])
            context = {
                "psn": psn,
                "number": random.getrandbits(24),
                "completion_queue": random.randrange(CONFIG.completion_queues),
            }
            qp.__init__(qp.index, context, psn=psn, oldest=psn)
            await self.states.give(qp.state(0))
            self.fresh, self.setting_up = psn, qp.index
            self.dut.context.value = CONTEXT.pack(**context)
            self.done.clear()
            self.set_ups.send_value(qp.index)
            await self.done.wait()
            self.dut.context.value = random.getrandbits(100)
            self.note("set up")

    async def drain(self, qp: _QueuePair) -> None:
        """Wait until all of a queue pair that has ended is told."""
        for _ in range(4000):
            if not (qp.expected or qp.due or qp.owes_kick):
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"lost: {qp}")

    async def live(self, qp: _QueuePair) -> None:
        """Life of a queue pair."""
        await self.set_up(qp)
        for _ in range(STEPS):
            draw = random.random()
            if draw < 0.35:
                await self.post(qp, random.randint(1, DEPTH))
            elif qp.failed and draw < 0.45:
                await self.drain(qp)
                await self.set_up(qp)
            elif not qp.failed and qp.begun and draw < 0.7:
                if qp.begun[0]["is_local"]:
                    qp.end_local()
                else:
                    last = random.choice(qp.begun)["last"]
                    first_local = [row["last"] for row in qp.begun if row["is_local"]]
                    last = min([last, *first_local[:1]])
                    qp.advance(max(qp.oldest, last - random.choice([0, 0, 1])))
                await self.say(qp)
            elif not qp.failed and draw < 0.71:
                # A local one that has ended but was not told would be flushed, or not.
                await self.drain(qp)
                status = random.choice([2, 3, 5, 9])
                # Told together with the failure, a local one has not ended either.
                qp.locals += random.randrange(2)
                qp.fail(status)
                await self.say(qp, status)
            elif draw < 0.8:
                self.kick(qp)
            else:
                await ClockCycles(self.dut.clk, random.choice([1, 2, 3, 5, 9, 30]))
        await self.drain(qp)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.6], stall=[0.0, 0.8])
async def each_ends_once_in_order(dut, pause, stall):
    """Let few queue pairs live at the same time."""
    bed = Bed(dut, pause=pause, stall=stall)
    await bed.begin()
    lives = [cocotb.start_soon(bed.live(qp)) for qp in bed.qps[:USED]]
    for life in lives:
        await life
    await ClockCycles(dut.clk, 60)
    for qp in bed.qps:
        await bed.drain(qp)
    dut._log.info("%s", sorted(bed.counts.items()))
    assert {f"status {status}" for status in (0, 2, 3, 4, 5, 9)} <= {*bed.counts}


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def one_ends_every_second_cycle(dut):
    """Of many queue pairs; of one, as often as its row is free."""
    bed = Bed(dut)
    await bed.begin()
    for qp in bed.qps:
        await bed.set_up(qp)
        await bed.post(qp, DEPTH)
    narrow = CONFIG.is_narrow
    for qps, cycles in ((bed.qps[1:], 4 if narrow else 2), (bed.qps[:1], 8 if narrow else 4)):
        count = 0
        for qp in qps:
            while qp.begun:
                count += 1
                if qp.begun[0]["is_local"]:
                    qp.end_local()
                else:
                    qp.advance(qp.begun[0]["last"])
            await bed.states.give(qp.state(0))
        before = len(bed.ends)
        for qp in qps:
            bed.kicks.send_value(qp.index)
        for qp in qps:
            await bed.drain(qp)
        assert bed.ends[-1] - bed.ends[before] <= count * cycles + 24, (count, cycles)
