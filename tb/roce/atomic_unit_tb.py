"""cocotb testbench of hdl.roce.AtomicUnit."""

import json
import os
import random
from collections.abc import Coroutine
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import (
    AnswerKind,
    AnswerLayout,
    AtomicLayout,
    CompletionStatus,
    FailureLayout,
    JobKind,
    JobLayout,
    PlaceLayout,
)
from sim.roce.atomic_unit import AtomicModel, Operation

from ..dma.fields import FieldReader, pack_fields
from ..stream import StreamSink, StreamSource, chance, reset, start
from .scripted_memory import (
    ScriptedReads,
    ScriptedTranslator,
    ScriptedWrites,
    Strobes,
    Translation,
)

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


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.6], longest=[0, 40])
async def any_jobs_are_answered_as_by_the_model(dut, stall, longest):
    """Operations, faults, replays and queue pairs that are set up anew, one after another."""
    bed = Bed(dut, stall=stall, longest=longest)
    await bed.begin()
    psns: list[int] = []
    for _ in range(60):
        operations = []
        # As many as go in one, so that jobs wait; the model knows their order, not their time.
        for _ in range(random.randint(1, 6)):
            operations.append(operation(bed.model, psns))
            psns.append(operations[-1].psn)
            del psns[: -2 * CONFIG.resources]
        await bed.execute(*operations)
        if random.random() < 0.2:
            queue_pair = random.randrange(QUEUE_PAIRS)
            await bed.tell_to_forget(queue_pair)
            bed.model.forget(queue_pair)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_carry_and_every_bit_counts(dut):
    """Add with each length of carry; compare what differs in each bit."""
    bed = Bed(dut)
    await bed.begin()
    for bit in range(64):
        ones = (1 << bit) - 1
        for operand in (1, ones, random.getrandbits(64)):
            bed.model.memory[0] = random.choice([ones, random.getrandbits(64)])
            await bed.execute(Operation("add", 0, bit, operand=operand))
        value = bed.model.memory[0]
        await bed.execute(
            Operation("swap", 0, bit, operand=bit, compare=value ^ 1 << bit),
            Operation("swap", 0, bit, operand=bit, compare=value),
        )
        assert bed.model.memory[0] == bit


@cocotb.test(timeout_time=200, timeout_unit="us")
async def as_many_results_are_remembered_as_there_are_resources(dut):
    """Of any number of operations, the newest are found, the others not; queue pairs are alone."""
    bed = Bed(dut)
    await bed.begin()
    most = CONFIG.resources
    for count in sorted({1, 2, most - 1, most, most + 1, 2 * most + 1}):
        base = random.getrandbits(23)
        for queue_pair in (0, 1):
            bed.model.memory[queue_pair] = random.getrandbits(64)
            await bed.execute(
                *(
                    Operation("add", queue_pair, base + n, operand=1, place=queue_pair)
                    for n in range(count)
                )
            )
        replays = [Operation("replay", n & 1, base + n // 2) for n in range(2 * count)]
        expected = bed.send(replays)
        bed.done.seen.clear()
        answered = sum(answer is not None for _, answer in expected)
        assert answered == 2 * min(count, most)
        await bed.check(expected)
        await bed.tell_to_forget(0)
        bed.model.forget(0)
        await bed.execute(*replays)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_queue_pair_may_be_set_up_anew_at_any_time(dut):
    """Whenever ``forget`` comes in an operation, neither its result nor older ones are found."""
    bed = Bed(dut, longest=3)
    await bed.begin()
    for fault in ("", "write"):
        for cycles in range(60):
            for queue_pair in (0, 1):
                await bed.tell_to_forget(queue_pair)
                bed.model.forget(queue_pair)
            await bed.execute(*(Operation("add", q, 7, operand=5, place=q) for q in (0, 1)))
            expected = bed.send([Operation("add", 1, 8, operand=1, fault=fault)], is_forgotten=True)
            bed.done.seen.clear()
            await RisingEdge(dut.clk)  # the job is there
            for _ in range(cycles):
                await RisingEdge(dut.clk)
                if bed.done.seen:
                    break
            if bed.done.seen or int(dut.done.value) & 1:
                await bed.check(expected)
                break
            cocotb.start_soon(bed.tell_to_forget(1))
            await bed.check(expected)
            bed.model.forget(1)
            await bed.execute(
                Operation("replay", 1, 7), Operation("replay", 1, 8), Operation("replay", 0, 7)
            )
            await bed.execute(Operation("add", 1, 9, operand=1), Operation("replay", 1, 9))
        else:
            raise AssertionError("the operation never ended before the strobe")
        assert cycles > 10


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_replay_behind_forget_finds_nothing(dut):
    """Offered a cycle after the strobe or later, a replay has no answer; before, it may have."""
    bed = Bed(dut)
    await bed.begin()
    answered = 0
    for earlier in range(-8, 4):  # cycles from the strobe to the job
        bed.model.forget(1)
        await bed.execute(Operation("add", 1, 7, operand=1))
        bed.model.forget(1)
        bed.done.seen.clear()
        strobe = cocotb.start_soon(after(dut, -earlier, bed.tell_to_forget(1)))
        # The source offers a job a cycle after it is sent.
        await ClockCycles(dut.clk, max(0, earlier - 1))
        bed.send([Operation("replay", 1, 7)])
        while not bed.done.seen:
            await ClockCycles(dut.clk, 1)
        await strobe
        if not bed.answers.received.empty():
            assert earlier < 1, f"found {earlier} cycles after the strobe"
            bed.answers.received.get_nowait()
            answered += 1
        await bed.execute(Operation("replay", 1, 7))
    assert answered > 3


async def after(dut: Any, cycles: int, action: Coroutine[Any, Any, None]) -> None:
    """Wait, then act."""
    if cycles >= 0:
        await ClockCycles(dut.clk, cycles + 1)
    await action


@cocotb.test(timeout_time=200, timeout_unit="us")
async def strobes_may_come_in_every_other_cycle(dut):
    """While jobs run, a burst of strobes makes all other queue pairs forget."""
    bed = Bed(dut, longest=5)
    await bed.begin()
    for _ in range(10):
        await bed.execute(*(Operation("add", q, 5, operand=q) for q in range(CONFIG.queue_pairs)))
        expected = bed.send([Operation("add", 0, 6 + n) for n in range(8)])
        bed.done.seen.clear()
        for queue_pair in range(1, CONFIG.queue_pairs):
            await bed.tell_to_forget(queue_pair)
            bed.model.forget(queue_pair)
        await bed.check(expected)
        await bed.execute(*(Operation("replay", q, 5) for q in range(CONFIG.queue_pairs)))
        await bed.tell_to_forget(0)
        bed.model.forget(0)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def each_fault_gives_its_nak_and_the_claim_back(dut):
    """Forget at a fault what its queue pair had; execute the next operation."""
    bed = Bed(dut, stall=0.3, longest=10)
    await bed.begin()
    for fault in ("refused", "read", "write"):
        await bed.execute(
            Operation("add", 1, 1, operand=1),
            Operation("add", 0, 1, operand=1),
            Operation("add", 1, 2, operand=1, fault=fault),
            Operation("replay", 1, 1),
            Operation("replay", 1, 2),
            Operation("replay", 0, 1),
            Operation("swap", 1, 3, operand=1),
            Operation("replay", 1, 3),
        )


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Take 11 cycles and the waits for an operation; 3 and 3 for each result for a replay."""
    bed = Bed(dut)
    await bed.begin()
    # The Translator; 2 cycles each for the claim, for the data and for the write's response.
    waits = TRANSLATION + 3 * 2
    for job, cycles in (
        (Operation("add", 0, 1, operand=1), 11 + waits),
        (Operation("add", 0, 2, operand=1), 11 + waits),
        (Operation("replay", 0, 2), 3 + 3),
        (Operation("replay", 0, 1), 3 + 2 * 3),
    ):
        offered = bed.jobs.cycle + 1
        await bed.execute(job)
        assert bed.jobs.last - offered == cycles, f"{job}: {bed.jobs.last - offered} cycles"


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(cycles=range(4, 40, 3))
async def reset_in_an_operation_forgets_it(dut, cycles):
    """After a reset at any time there is no claim, and the next operation is executed."""
    bed = Bed(dut, longest=1)  # less than the reset
    await bed.begin()
    bed.send([Operation("add", 1, n, operand=1) for n in range(4)])
    await ClockCycles(dut.clk, cycles)
    ports = (*bed.reads.ports, *bed.writes.ports, bed.answers, bed.failures)
    await reset(dut, bed.jobs, bed.translator, *ports)
    bed.translator.forget()
    bed.reads.forget()
    bed.writes.forget()
    await ClockCycles(dut.clk, 1)
    assert not int(dut.claim.value) & 1
    bed.model.memory.clear()
    await bed.forget_all()
    await bed.execute(Operation("add", 1, 1, operand=1), Operation("replay", 1, 1))
