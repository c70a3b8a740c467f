"""cocotb testbench of hdl.roce.AtomicUnit."""

import random
from collections.abc import Coroutine
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.roce.atomic_unit import Operation

from ..stream import reset
from .atomic_bed import (
    CONFIG,
    QUEUE_PAIRS,
    TRANSLATION,
    Bed,
    operation,
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
    """Take 13 cycles and the waits for an operation; 3 and 4 for each result for a replay."""
    bed = Bed(dut)
    await bed.begin()
    # The Translator; 2 cycles each for the claim, for the data and for the write's response.
    waits = TRANSLATION + 3 * 2
    for job, cycles in (
        (Operation("add", 0, 1, operand=1), 13 + waits),
        (Operation("add", 0, 2, operand=1), 13 + waits),
        (Operation("replay", 0, 2), 3 + 4),
        (Operation("replay", 0, 1), 3 + 2 * 4),
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
