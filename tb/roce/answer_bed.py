"""Drive hdl.roce.AnswerScheduler as its neighbours do, and watch what it does."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.answer_layouts import AnswerLayout, AtomicLayout, JobWriteLayout, ReadSegmentLayout
from hdl.roce.config import RoceConfig
from hdl.roce.layouts import EventKind, EventLayout
from sim.roce.answer_scheduler import Text
from tb.stream import StreamSink, StreamSource, start
from tb.stream.stream_port import never

from .answer_watch import QueuePairWatch, make_job

__all__ = ["Bench", "random_job"]

_READ_RESPONSE, _CNP = 1, 3


def pack(layout: Any, values: dict[str, Any]) -> int:
    """Bits of a struct; fields that ``values`` does not name are 0."""
    bits = 0
    for name, field in layout:
        value = values.get(name, 0)
        if isinstance(value, dict):
            value = pack(field.shape, value)
        bits |= value << field.offset
    return bits


def unpack(layout: Any, bits: int) -> dict[str, Any]:
    """Fields of a struct."""
    found = {}
    for name, field in layout:
        value = bits >> field.offset & ((1 << field.width) - 1)
        found[name] = (
            unpack(field.shape, value) if isinstance(field.shape, data.StructLayout) else value
        )
    return found


def random_job(config: RoceConfig, kind: int | None = None, **values: int) -> dict[str, Any]:
    """Fields of a row; some READs have no bytes, and some many packets."""
    layout = JobWriteLayout(config)["job"].shape
    assert isinstance(layout, data.StructLayout)
    job = unpack(layout, random.getrandbits(layout.size))
    job["kind"] = random.choice([0, 0, 0, 1, 2, 3]) if kind is None else kind
    job["mtu_shift"] = random.randint(8, 12)
    if job["kind"] == 0:
        mtu = 1 << job["mtu_shift"]
        length = random.choice([0, 1, mtu - 1, mtu, mtu + 1, random.randint(0, 6 * mtu)])
        job["operand"] = job["operand"] >> 32 << 32 | length
    return {**job, **values}


class _Events(StreamSource):
    """Tell of each event that is taken."""

    def __init__(self, dut: Any, bench: "Bench", **more: Any):
        self.taken: deque[tuple[int, Text, bool]] = deque()
        self.bench = bench
        super().__init__(dut, "events", **more)

    def _count(self) -> None:
        super()._count()
        pair, event, notify = self.taken.popleft()
        watch = self.bench.watches[pair]
        watch.take(event, notify)
        if event.kind == "RESET":
            watch.forget()


class _Taken(StreamSink):
    """Take payloads; what they are is looked at when they are offered."""

    def accept(self, value: int) -> None:
        """Take one payload."""


class Bench:
    """Protocol, ReadEngine, AtomicUnit and AnswerBuilder of every queue pair.

    Attributes
    ----------
    watches : list of QueuePairWatch
    prompts, packets, operations : list of tuple of int
        Queue pair and cycle of each answer without data, each packet and each atomic operation,
        when offered.
    delay : callable
        Cycles from a packet or an atomic operation to its strobe.
    """

    def __init__(
        self,
        dut: Any,
        config: RoceConfig,
        *,
        event_pause: Callable[[], bool] = never,
        prompt_pause: Callable[[], bool] = never,
        read_pause: Callable[[], bool] = never,
        atomic_pause: Callable[[], bool] = never,
        delay: Callable[[], int] = lambda: 0,
        scribbles: bool = True,
    ):
        self.dut = dut
        self.config = config
        self.delay = delay
        self.scribbles = scribbles
        self.cycle = 0
        self.watches = [QueuePairWatch(config.resources) for _ in range(config.queue_pairs)]
        self.prompts: list[tuple[int, int]] = []
        self.packets: list[tuple[int, int]] = []
        self.operations: list[tuple[int, int]] = []
        self.rows: deque[int] = deque()
        self.waiting: dict[str, list[tuple[int, int, Any]]] = {"sent": [], "atomic_done": []}
        self.offered_packets: deque[tuple[int, Any]] = deque()
        self.offered_atomics: deque[tuple[int, Any]] = deque()
        self.events = _Events(dut, self, pause=event_pause)
        self.prompt = _Taken(dut, "prompt", pause=prompt_pause)
        self.reads = _Taken(dut, "reads", pause=read_pause)
        self.atomics = _Taken(dut, "atomics", pause=atomic_pause)
        for name in ("job", "sent", "atomic_done", "drop"):
            dut[name].value = 0
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._strobe())

    async def begin(self) -> None:
        """Start the clock and release reset."""
        await start(self.dut)

    # What Protocol does.

    def room(self, pair: int) -> int:
        """Jobs that the queue pair's ring can take."""
        watch = self.watches[pair]
        return watch.ring - (len(watch.jobs) - watch.head)

    async def add_job(
        self, pair: int, fields: dict[str, Any], notify: bool = False, again: bool = False
    ) -> None:
        """Write a row and, later, send the event of it."""
        watch = self.watches[pair]
        assert self.room(pair)
        slot = len(watch.jobs) % watch.ring
        watch.jobs.append(make_job(fields))
        self._write(pair, slot, fields)
        while self.rows:
            await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        self.add_event(pair, Text("JOB", 0, 0, 0, again), notify)

    def _write(self, pair: int, slot: int, fields: dict[str, Any]) -> None:
        values = {"valid": 1, "queue_pair": pair, "slot": slot, "job": fields}
        self.rows.append(pack(JobWriteLayout(self.config), values))

    def add_event(self, pair: int, event: Text, notify: bool = False) -> None:
        """Send an event."""
        values = {
            "kind": EventKind[event.kind].value,
            "queue_pair": pair,
            "psn": event.psn,
            "msn": event.msn,
            "syndrome": event.syndrome,
            "again": int(event.again),
            "notify": int(notify),
        }
        self.events.taken.append((pair, event, notify))
        self.events.send_value(pack(EventLayout(self.config), values))

    async def drop(self, pair: int) -> None:
        """Let the queue pair fail, some time after its last event."""
        await ClockCycles(self.dut.clk, 40)
        while not self.events.idle:
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 40)
        self.watches[pair].take(Text("DROP", 0, 0, 0), False)
        self.watches[pair].forget()
        self.dut["drop"].value = 1 | pair << 1
        await RisingEdge(self.dut.clk)
        self.dut["drop"].value = 0
        await ClockCycles(self.dut.clk, 40)

    # What it says.

    def _take_packet(self) -> None:
        pair, job = self.offered_packets.popleft()
        self.waiting["sent"].append((self.cycle + self.delay(), pair, job))

    def _take_atomic(self) -> None:
        pair, job = self.offered_atomics.popleft()
        self.waiting["atomic_done"].append((self.cycle + self.delay(), pair, job))

    def _offer_prompt(self, value: int) -> None:
        answer = unpack(AnswerLayout(self.config), value)
        pair = answer["queue_pair"]
        self.prompts.append((pair, self.cycle))
        assert not answer["payload_bytes"]
        assert not answer["original"]
        if answer["kind"] == _CNP:
            self.watches[pair].notify()
        else:
            assert answer["kind"] == 0
            self.watches[pair].acknowledge(answer["psn"], answer["msn"], answer["syndrome"])

    def _offer_packet(self, value: int) -> None:
        segment = unpack(ReadSegmentLayout(self.config), value)
        answer = segment["answer"]
        pair = answer["queue_pair"]
        assert answer["kind"] == _READ_RESPONSE
        assert answer["syndrome"] == 0x1F
        assert not answer["original"]
        ends = answer["first"] + 2 * answer["last"]
        packet = (answer["psn"], segment["place"]["linear"], answer["payload_bytes"], ends)
        about = {"place": {**segment["place"], "linear": 0}, "msn": answer["msn"]}
        about["again"] = segment["again"]
        self.packets.append((pair, self.cycle))
        self.offered_packets.append((pair, self.watches[pair].segment(packet, about)))

    def _offer_atomic(self, value: int) -> None:
        operation = unpack(AtomicLayout(self.config), value)
        pair = operation["queue_pair"]
        self.operations.append((pair, self.cycle))
        self.offered_atomics.append((pair, self.watches[pair].start(operation["job"])))

    def _free(self, value: int) -> None:
        pair_bits = self.config.bits("queue_pairs")
        pair = value >> 1 & ((1 << pair_bits) - 1)
        for slot in self.watches[pair].free(value >> 1 + pair_bits):
            if self.scribbles:  # nobody may look at the row any more
                self._write(pair, slot, random_job(self.config))

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        ports = [
            (self.prompt, self._offer_prompt, lambda: None),
            (self.reads, self._offer_packet, self._take_packet),
            (self.atomics, self._offer_atomic, self._take_atomic),
        ]
        stands = [False] * len(ports)
        while True:
            await edge
            self.cycle += 1
            if self.dut.rst.value:
                stands = [False] * len(ports)
                continue
            for number, (port, offer, take) in enumerate(ports):
                valid = bool(port.valid.value)
                if valid and not stands[number]:
                    offer(int(port.payload.value))
                stands[number] = valid and not port.ready.value
                if valid and not stands[number]:
                    take()
            head = int(self.dut.head.value)
            if head & 1:
                self._free(head)

    async def _strobe(self) -> None:
        edge = RisingEdge(self.dut.clk)
        drives: dict[str, int] = dict.fromkeys(["job", "sent", "atomic_done"], 0)
        while True:
            await edge
            # With narrow beats never in two cycles that follow each other.
            may_write = self.rows and not (self.config.is_narrow and drives["job"])
            values = {"job": self.rows.popleft() if may_write else 0}
            for name, waiting in self.waiting.items():
                values[name] = 0
                due = [entry for entry in waiting if entry[0] <= self.cycle]
                if due:
                    # Of a queue pair in order; else in any.
                    entry = random.choice(due)
                    entry = next(other for other in waiting if other[1] == entry[1])
                    waiting.remove(entry)
                    _, pair, job = entry
                    values[name] = 1 | pair << 1
                    if name == "sent":
                        job.sent += 1
                    else:
                        job.done = True
            for name, value in values.items():
                if value != drives[name]:
                    drives[name] = value
                    self.dut[name].value = value

    async def settle(self) -> None:
        """Wait until nothing happens any more, and check that nothing is left."""
        quiet = 0
        while quiet < 60:
            seen = (len(self.prompts), len(self.packets), len(self.operations))
            await RisingEdge(self.dut.clk)
            busy = self.rows or any(self.waiting.values()) or not self.events.idle
            busy = busy or self.offered_packets or self.offered_atomics
            busy = busy or self.dut["prompt__valid"].value
            same = seen == (len(self.prompts), len(self.packets), len(self.operations))
            quiet = quiet + 1 if same and not busy else 0
        for watch in self.watches:
            watch.check_end()
