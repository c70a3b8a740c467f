"""All around an AtomicUnit: jobs, memory whose answers are written down, and claims."""

import json
import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.answer_layouts import AnswerKind, AnswerLayout, AtomicLayout, JobKind, JobLayout
from hdl.roce.config import RoceConfig
from hdl.roce.layouts import CompletionStatus, FailureLayout, PlaceLayout
from sim.roce.atomic_unit import AtomicModel, Operation

from ..dma.fields import FieldReader, pack_fields
from ..stream import StreamSink, StreamSource, chance, start
from .scripted_memory import (
    ScriptedReads,
    ScriptedTranslator,
    ScriptedWrites,
    Strobes,
    Translation,
)

__all__ = ["CONFIG", "QUEUE_PAIRS", "TRANSLATION", "Bed", "operation"]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
DATA_BYTES = CONFIG.data_bytes
QUEUE_PAIRS = min(4, CONFIG.queue_pairs)
KINDS = {"swap": JobKind.COMPARE_SWAP, "add": JobKind.FETCH_ADD, "replay": JobKind.REPLAY}
NAKS = {0x62: CompletionStatus.REMOTE_ACCESS, 0x63: CompletionStatus.REMOTE_OPERATION}
#: Cycles of the Translator.
TRANSLATION = 4

_ATOMIC = AtomicLayout(CONFIG)
_JOB = JobLayout(CONFIG)
_PLACE = PlaceLayout(CONFIG)
_READ_ANSWER = FieldReader(AnswerLayout(CONFIG))
_READ_FAILURE = FieldReader(FailureLayout(CONFIG))
_SPACES = [(random.getrandbits(2), random.getrandbits(61) << 3) for _ in range(4)]


class Claims:
    """Grant claims after a while; without one, nobody reads or writes, and none is kept."""

    def __init__(self, dut: Any, bed: "Bed", longest: int):
        self.dut = dut
        self.bed = bed
        self.longest = longest
        self.count = 0
        dut.claimed.value = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        claim, reads, writes = self.dut.claim, self.bed.reads, self.bed.writes
        wait = 0
        granted = False
        was = 0
        while True:
            await edge
            if self.dut.rst.value:
                was, granted = 0, False
                self.dut.claimed.value = 0
                continue
            value = int(claim.value)
            is_claimed = bool(value & 1)
            uses = [reads.requests, reads.data, writes.requests, writes.data, writes.responses]
            if any(int(port.valid.value) for port in uses):
                assert is_claimed, "memory is used without a claim"
                assert granted, "memory is used before the claim is granted"
            if is_claimed:
                if not was & 1:
                    self.count += 1
                    wait = random.randint(0, self.longest)
                else:
                    assert value == was, "the claim moved"
                assert (value >> 1 & 3, value >> 3) in {(s, a >> 12) for s, a in _SPACES}
                if wait:
                    wait -= 1
                else:
                    granted = True
            else:
                granted = False
            was = value
            self.dut.claimed.value = int(granted)


class Bed:
    """All around an AtomicUnit."""

    def __init__(
        self,
        dut: Any,
        *,
        stall: float = 0.0,
        longest: int = 0,
    ):
        self.dut = dut
        self.jobs = StreamSource(dut, "jobs", pause=chance(stall))
        self.translator = ScriptedTranslator(dut, CONFIG, latency=TRANSLATION, stall=stall)
        self.reads = ScriptedReads(
            dut, DATA_BYTES, latency=lambda: random.randint(0, longest), stall=stall
        )
        self.writes = ScriptedWrites(
            dut, DATA_BYTES, latency=lambda: random.randint(0, longest), stall=stall
        )
        self.claims = Claims(dut, self, longest)
        self.answers = StreamSink(dut, "answers", pause=chance(stall))
        self.failures = StreamSink(dut, "failures", pause=chance(stall))
        self.done = Strobes(dut, "done")
        self.forget = dut.forget
        self.forget.value = 0
        self.model = AtomicModel(CONFIG.resources)

    async def begin(self) -> None:
        """Start, and have all queue pairs set up."""
        await start(self.dut)
        await self.forget_all()

    async def forget_all(self) -> None:
        """Have all queue pairs set up."""
        for queue_pair in range(CONFIG.queue_pairs):
            await self.tell_to_forget(queue_pair)

    async def tell_to_forget(self, queue_pair: int) -> None:
        """Strobe ``forget`` in one cycle; the next one has none."""
        self.forget.value = 1 | queue_pair << 1
        await RisingEdge(self.dut.clk)
        self.forget.value = random.getrandbits(CONFIG.bits("queue_pairs")) << 1
        await RisingEdge(self.dut.clk)

    def send(
        self, operations: list[Operation], *, is_forgotten: bool = False
    ) -> list[tuple[Operation, tuple[int, int] | None]]:
        """Queue jobs, and write down what they meet; give what is to be answered."""
        expected = []
        model = self.model
        for operation in operations:
            key, linear = random.randrange(CONFIG.regions), random.getrandbits(48)
            self.jobs.send_value(pack_job(operation, key, linear))
            before = model.memory.get(operation.place, 0).to_bytes(8, "little")
            answer = model.execute(operation, is_forgotten=is_forgotten)
            expected.append((operation, answer))
            if operation.kind == "replay":
                continue
            span = (*_SPACES[operation.place], 8)
            spans = None if operation.fault == "refused" else (span,)
            self.translator.script.append(Translation(key, linear, 8, spans))
            if model.read:
                self.reads.script.append((span, 2 * (operation.fault == "read"), before))
            if model.written:
                after = model.memory.get(operation.place, 0)
                if operation.fault == "write":
                    is_add = operation.kind == "add"
                    after = operation.operand + is_add * int.from_bytes(before, "little")
                content = (after % (1 << 64)).to_bytes(8, "little")
                self.writes.script.append((span, 3 * (operation.fault == "write"), content))
        return expected

    async def check(self, expected: list[tuple[Operation, tuple[int, int] | None]]) -> None:
        """Await and compare all that leaves."""
        for operation, answer in expected:
            if answer is None:
                continue
            syndrome, original = answer
            got = _READ_ANSWER.read(await self.answers.received.get())
            fields = (got.queue_pair, got.psn, got.msn, got.syndrome, got.payload_bytes)
            assert fields == (operation.queue_pair, operation.psn, operation.msn, syndrome, 0)
            if syndrome in NAKS:
                assert got.kind == AnswerKind.ACKNOWLEDGE.value
                failure = _READ_FAILURE.read(await self.failures.received.get())
                assert failure.queue_pair == operation.queue_pair
                assert failure.status == NAKS[syndrome].value
            else:
                assert got.kind == AnswerKind.ATOMIC_ACKNOWLEDGE.value
                assert got.original == original, f"{got.original:x}, not {original:x}, {operation}"
        while len(self.done.seen) < len(expected):
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, 4)
        assert self.done.seen == [operation.queue_pair for operation, _ in expected]
        assert not self.translator.script
        assert not self.reads.script
        assert not self.writes.script
        assert not int(self.dut.claim.value) & 1
        assert self.answers.received.empty()
        assert self.failures.received.empty()

    async def execute(self, *operations: Operation) -> None:
        """Send jobs and check what becomes of them."""
        self.done.seen.clear()
        await self.check(self.send(list(operations)))


def pack_job(operation: Operation, key: int, linear: int) -> int:
    """Payload of ``jobs``."""
    job = pack_fields(
        _JOB,
        kind=KINDS[operation.kind].value,
        psn=operation.psn,
        msn=operation.msn,
        mtu_shift=random.randint(8, 12),
        place=pack_fields(_PLACE, key=key, linear=linear, variant=random.getrandbits(8)),
        operand=operation.operand,
        compare=operation.compare,
    )
    return pack_fields(_ATOMIC, queue_pair=operation.queue_pair, job=job)


def operation(model: AtomicModel, psns: list[int]) -> Operation:
    """Operation of any kind; a replay is of one of ``psns``, most often."""
    place = random.randrange(len(_SPACES))
    kind = random.choice(["swap", "add", "replay"])
    number = random.getrandbits(64)
    compare = random.choice([model.memory.get(place, 0), random.getrandbits(64), 1])
    psn = random.getrandbits(24)
    if kind == "replay" and psns and random.random() < 0.9:
        psn = random.choice(psns)
    return Operation(
        kind,
        random.randrange(QUEUE_PAIRS),
        psn,
        msn=random.getrandbits(24),
        operand=random.choice([number, 1, (1 << 64) - 1, (1 << random.randrange(64)) - 1]),
        compare=compare ^ random.choice([0, 0, 0, 1 << random.randrange(64)]),
        place=place,
        fault=random.choice(["", "", "", "", "", "refused", "read", "write"]),
    )
