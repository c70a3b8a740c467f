"""cocotb testbench of hdl.roce.ReplyProtocol: each task does what the reference does."""

import copy
import json
import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import ActionKind, ActionLayout, FailureLayout
from hdl.roce.peer_layouts import ReplyLayout, ReplyStateLayout
from hdl.roce.reply_layouts import RnrStrobe, TimeLayout
from hdl.roce.send_layouts import ReadPlaceLayout, SendStateStrobe, SentKind, SentLayout
from hdl.roce.work_layouts import SendContextLayout

from ..stream import StreamSink, StreamSource, chance, start
from .ports import Packer
from .reply_reference import FLUSHED, PSNS, Read, Reference
from .reply_traffic import random_context, random_messages, random_reply

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
ROUNDS = int(os.environ["ROUNDS"])
PAIR_BITS = CONFIG.bits("queue_pairs")
READ_BITS = CONFIG.bits("resources")
#: Queue pairs in use: few, so that they meet.
USED = 6
STATE, ACTION = Packer(ReplyStateLayout(CONFIG)), Packer(ActionLayout(CONFIG))
REPLY, SENT, TIME = Packer(ReplyLayout()), Packer(SentLayout(CONFIG)), Packer(TimeLayout(CONFIG))
FAILURE, RNR = Packer(FailureLayout(CONFIG)), Packer(RnrStrobe(CONFIG))
PLACE, SEND_STATE = Packer(ReadPlaceLayout(CONFIG)), Packer(SendStateStrobe(CONFIG))
CONTEXT = Packer(SendContextLayout(CONFIG))
STREAMS = ("replies", "sent", "times", "failures")


class _Source(StreamSource):
    """Tells, in order, what was taken; asserts that nobody waits for more than three others."""

    bed: "Bed"
    label: str

    def _count(self):
        super()._count()
        self.bed.take(self.label, int(self.payload.value))


class Bed:
    """The device, and a reference that does what the device took, in that order."""

    def __init__(self, dut, *, pause: float = 0.0, stall: float = 0.0):
        self.dut = dut
        self.qps = [Reference(index) for index in range(CONFIG.queue_pairs)]
        self.sources: dict[str, _Source] = {}
        for name in STREAMS:
            self.sources[name] = source = _Source(dut, name, pause=chance(pause))
            source.bed, source.label = self, name
        self.sinks = {
            name: StreamSink(dut, name, pause=chance(stall)) for name in ("kicks", "errors")
        }
        self.sinks["actions"] = StreamSink(dut, "actions", pause=chance(stall))
        self.sinks["set_up"] = StreamSink(dut, "set_up", pause=chance(stall))
        self.set_up: dict[str, int] = {}
        self.wanted: dict[str, deque] = {
            name: deque() for name in ("state", "kicks", "actions", "rnr", "errors", "set_up")
        }
        self.passed: dict[str, int] = {name: 0 for name in STREAMS}
        self.counts: dict[str, int] = {}
        for port in (dut.context, dut.send_state, dut.places):
            port.value = 0
        cocotb.start_soon(self._watch_strobes())

    async def begin(self) -> None:
        """Release reset, and wait until rows are cleared."""
        await start(self.dut)
        await ClockCycles(self.dut.clk, CONFIG.queue_pairs + 4)

    async def _watch_strobes(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            value = int(self.dut.state.value)
            rnr = int(self.dut.rnr.value)
            if value & 1:
                fields = STATE.read(value)
                assert self.wanted["state"], f"nothing has changed: {fields}"
                wanted = self.wanted["state"].popleft()
                wrong = {n: (v, wanted[n]) for n, v in fields.items() if v != wanted[n]}
                assert not wrong, f"{wrong} of {wanted}"
            if rnr & 1:
                assert value & 1, "with its state"
                assert RNR.read(rnr) == self.wanted["rnr"].popleft()

    def take(self, name: str, value: int) -> None:
        """Do what was taken, as the reference does it."""
        waits = [other for other in STREAMS if other != name and self.sources[other].offered]
        self.passed[name] = 0
        for other in waits:
            self.passed[other] += 1
            assert self.passed[other] <= 3 + 3 * (other == "sent"), f"{other} waits for too long"
        changes, qp = self._do(name, value)
        if changes:
            fields = {"valid": 1, "queue_pair": qp.index, **qp.published(READ_BITS)}
            self.wanted["state"].append(fields)
            if changes == "set_up":
                self.wanted["set_up"].append(qp.index)
            else:
                self.wanted["kicks"].append(qp.index)
            self.note(f"{name} changes")
        else:
            self.note(f"{name} dropped")
        if qp.rnr_code is not None:
            self.note("rnr")
            fields = {"valid": 1, "queue_pair": qp.index, "code": qp.rnr_code}
            self.wanted["rnr"].append(fields)
        if qp.has_error:
            self.note(f"error {qp.status}")
            self.wanted["errors"].append({"queue_pair": qp.index, "status": FLUSHED})
        qp.rnr_code, qp.has_error, qp.stored = None, False, None

    def note(self, what: str) -> None:
        """Count what came up."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def _do(self, name: str, value: int) -> tuple[Any, Reference]:
        if name == "replies":
            reply = REPLY.read(value)
            qp = self.qps[reply["queue_pair"] % CONFIG.queue_pairs]
            changes = qp.reply(reply)
            if reply["kind"]:
                self._want_action(reply, qp)
            return changes, qp
        if name == "times":
            time = TIME.read(value)
            qp = self.qps[time["queue_pair"]]
            return qp.rnr_end() if time["is_rnr_end"] else qp.timeout(), qp
        if name == "failures":
            failure = FAILURE.read(value)
            qp = self.qps[failure["queue_pair"]]
            return qp.fail(failure["status"], by_itself=False), qp
        sent = SENT.read(value)
        qp = self.qps[sent["queue_pair"]]
        if sent["kind"] == SentKind.SET_UP.value:
            qp.set_up(self.set_up)
            return "set_up", qp
        if sent["kind"] == SentKind.SENT.value:
            return qp.sent(sent["psn"]), qp
        if sent["kind"] == SentKind.LOCAL.value:
            return qp.local(), qp
        numbers = (sent["psn"], sent["first"], sent["status"])
        return qp.fails_at(*numbers, is_local=sent["is_local"]), qp

    def _want_action(self, reply: dict[str, int], qp: Reference) -> None:
        fields: dict[str, Any] = {"queue_pair": qp.index, "kind": ActionKind.DROP.value}
        if qp.stored:
            fields |= {"kind": ActionKind.WRITE.value, **qp.stored}
            fields |= {name: reply[name] for name in ("payload_offset", "payload_bytes")}
            self.note("stored")
        self.wanted["actions"].append(fields)

    async def settle(self) -> None:
        """Wait until all has been done; compare what came out."""
        quiet = 0
        while quiet < 60:
            await RisingEdge(self.dut.clk)
            self._compare()
            is_busy = not all(source.idle for source in self.sources.values())
            quiet = 0 if is_busy or any(self.wanted.values()) else quiet + 1
        # And nothing more.
        self._compare()

    def _compare(self) -> None:
        for name in ("kicks", "set_up", "errors", "actions"):
            sink, wanted = self.sinks[name], self.wanted[name]
            while not sink.received.empty():
                value = sink.received.get_nowait()
                assert wanted, f"{name}: {value:#x} more than there are"
                expected = wanted.popleft()
                if name == "errors":
                    assert FAILURE.read(value) == expected
                elif name == "actions":
                    self._check_action(ACTION.read(value), expected)
                else:
                    assert value == expected, name

    def _check_action(self, action: dict[str, Any], expected: dict[str, Any]) -> None:
        assert action["has_packet"] == 1
        assert action["completion"]["valid"] == action["event"]["kind"] == 0
        assert {name: action[name] for name in expected} == expected, action
        if not expected.get("swapped"):
            assert not action["swapped"]

    # What the sender and the driver do.

    def ask(self, name: str, **fields: Any) -> None:
        """Give a task to one of the streams."""
        packers = {"replies": REPLY, "sent": SENT, "times": TIME, "failures": FAILURE}
        self.sources[name].send_value(packers[name].pack(**fields))

    def begin_set_up(self, index: int) -> None:
        """Set a queue pair up; no other one before that is done."""
        self.set_up = random_context(index, PAIR_BITS, CONFIG.resources)
        self.dut.context.value = CONTEXT.pack(**self.set_up)
        self.ask("sent", kind=SentKind.SET_UP.value, queue_pair=index)

    async def send(self, qp: Reference) -> None:
        """Send some messages."""
        messages = random_messages(qp, CONFIG.resources, self._place)
        for message in messages:
            qp.highest = message.first + message.count
            if isinstance(message, Read):
                row = len(qp.reads) % CONFIG.resources
                qp.reads.append(message)
                self.dut.places.value = PLACE.pack(
                    valid=1,
                    queue_pair=qp.index,
                    reads=row,
                    is_atomic=message.is_atomic,
                    psn=message.first % PSNS,
                    count=message.count,
                    place=message.place,
                    length=message.length,
                )
                await RisingEdge(self.dut.clk)
                self.dut.places.value = 0
        if messages:
            self.dut.send_state.value = SEND_STATE.pack(
                valid=1, queue_pair=qp.index, highest=qp.highest % PSNS
            )
            await RisingEdge(self.dut.clk)
            self.dut.send_state.value = 0
            await RisingEdge(self.dut.clk)

    def _place(self) -> dict[str, int]:
        return {
            "key": random.randrange(CONFIG.regions),
            "variant": random.randrange(256),
            "linear": random.randrange(1 << 47),
            "page_row": random.randrange(CONFIG.pages),
            "page_shift": random.randint(12, 30),
        }


def _tasks(bed: Bed, count: int) -> None:
    """Give the device tasks of any kind."""
    scratch = [copy.deepcopy(qp) for qp in bed.qps]
    for _ in range(count):
        qp = scratch[random.randrange(USED)]
        draw = random.random()
        if draw < 0.7:
            bed.ask("replies", **random_reply(qp))
        elif draw < 0.78:
            bed.ask("times", queue_pair=qp.index, is_rnr_end=random.random() < 0.6)
        elif draw < 0.783:
            bed.ask("failures", queue_pair=qp.index, status=FLUSHED)
        elif draw < 0.9:
            kind = random.choice([SentKind.SENT.value, SentKind.LOCAL.value])
            # A sender of a reliable connection says so never; but nothing must come of it.
            bed.ask("sent", kind=kind, queue_pair=qp.index, psn=qp.oldest % PSNS)
            qp.sent(qp.oldest % PSNS)
        elif draw < 0.92:
            psn = random.randint(qp.oldest - 1, max(qp.oldest, min(qp.highest, qp.oldest + 6)))
            first = psn - random.choice([0, 0, 1, 2, 5])
            fields = {"psn": psn % PSNS, "first": first % PSNS, "is_local": random.random() < 0.2}
            kind = SentKind.FAILED.value
            bed.ask("sent", kind=kind, queue_pair=qp.index, status=random.choice([6, 7]), **fields)


@cocotb.test(timeout_time=40, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4], stall=[0.0, 0.7])
async def each_task_does_what_the_reference_does(dut, pause, stall):
    """Mix replies, good, stale and forged, times, events and failures, of few queue pairs."""
    bed = Bed(dut, pause=pause, stall=stall)
    await bed.begin()
    for turn in range(ROUNDS):
        for qp in bed.qps[:USED]:
            if qp.is_alive and random.random() < 0.8:
                await bed.send(qp)
        await ClockCycles(dut.clk, 2)
        dead = [qp.index for qp in bed.qps[:USED] if not qp.is_alive]
        if dead and (turn < 2 * USED or random.random() < 0.9):
            bed.begin_set_up(random.choice(dead))
        elif random.random() < 0.02:
            bed.begin_set_up(random.randrange(USED))
        _tasks(bed, random.choice([1, 4, 10, 10, 40]))
        await bed.settle()
    dut._log.info("%s", sorted(bed.counts.items()))
    if ROUNDS >= 200:
        wanted = {"stored", "rnr", "error 2", "error 3", "error 5", "error 6", "error 7"}
        assert wanted | {"error 9", "error 10"} <= {*bed.counts}


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_task_enters_every_second_cycle(dut):
    """Of many queue pairs; of one, as often as its row is free."""
    bed = Bed(dut)
    await bed.begin()
    for shared, cycles in ((False, 2), (True, 10 if CONFIG.is_narrow else 8)):
        source = bed.sources["replies"]
        source.restart()
        for number in range(200):
            index = 0 if shared else number % CONFIG.queue_pairs
            bed.ask("replies", queue_pair=index, kind=0)
        await bed.settle()
        assert source.span <= 200 * cycles
