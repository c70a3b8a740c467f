"""cocotb testbench of hdl.dma.Msix."""

import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.dma import MsixEntry

from ..stream import chance
from ..stream.stream_port import never
from .msix_bed import LONGEST, ROUND, SOME, TICK_CYCLES, VECTORS, MsixBed, begin, entry_of


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def registers_read_back_what_they_have(dut):
    """After reset all is masked and 0; then what was written by 4 or 8 bytes, but reserved bits."""
    bed = await begin(dut)
    beyond = 1 << (VECTORS - 1).bit_length()
    sample = sorted({*SOME, *random.sample(range(VECTORS), min(VECTORS, 12))})
    for vector in sample:
        found = [await bed.read("table", 4 * vector + n) for n in range(4)]
        assert found == [0, 0, 0, 1], vector
        assert await bed.read("moderation", vector) == 0
    assert await bed.read_pending() == 0
    for _ in range(2):
        for vector in [*sample, *([beyond - 1] if beyond > VECTORS else [])]:
            words = [random.getrandbits(32) for _ in range(4)]
            for numbers in random.choice(
                [[[0, 1], [2, 3]], [[0], [1], [2], [3]], [[2, 3], [0, 1]]]
            ):
                await bed.write_entry(vector, numbers, (words[n] for n in numbers))
            word = random.getrandbits(32)
            await bed.write("moderation", vector, 4, word)
            bed.model.moderate(vector, word)
        await bed.write("pending", 0, 4, 0xFFFFFFFF)
    for vector in [*sample, *([beyond - 1] if beyond > VECTORS else [])]:
        for number in range(4):
            assert await bed.read("table", 4 * vector + number) == bed.model.read(vector, number)
        pair = await bed.read("table", 4 * vector + 2, size=8)
        assert pair == bed.model.read(vector, 2) | bed.model.read(vector, 3) << 32
        assert await bed.read("moderation", vector) == bed.model.read_moderation(vector)
    assert await bed.read_pending() == 0
    answer = await bed.master.write(bed.address("table") + 2, b"\xff\xff")
    assert answer.resp == 2
    assert await bed.read("table", 0) == bed.model.read(0, 0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def an_event_is_one_message_soon(dut):
    """Events far from each other: each its vector's message, in 10 cycles."""
    vectors = random.sample(range(VECTORS), min(VECTORS, 24))
    bed = await begin(dut, *vectors)
    for vector in vectors:
        await ClockCycles(dut.clk, random.randint(40, 80))
        before, cycle = len(bed.messages), bed.cycle
        bed.send(vector)
        await ClockCycles(dut.clk, 40)
        (message,) = bed.messages[before:]
        entry = entry_of(vector)
        assert message[:2] == (vector, entry.data)
        assert message[2] - cycle <= 12, "cycles, two of which are the driver's"
        assert bed.written[-1] == (entry.address, entry.data)
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def an_event_a_cycle_is_taken_and_answered(dut):
    """Events of all vectors, of one, of unknown ones, one a cycle: never a cycle lost."""
    vectors = random.sample(range(VECTORS), min(VECTORS, 100))
    bed = await begin(dut, *vectors)
    bed.bound = ROUND + len(vectors)
    hot = vectors[0]
    for pattern in (
        vectors * 4,
        [random.choice(vectors) for _ in range(500)],
        [hot] * 200,
        [random.choice(vectors[:2]) for _ in range(300)],
        [
            random.choice([hot, 2047, VECTORS - 1 + random.randint(1, 64) & 2047, *vectors])
            for _ in range(400)
        ],
    ):
        known = [vector for vector in pattern if vector in vectors or vector >= VECTORS]
        bed.send(*known)
        await bed.idle(20)
    assert bed.not_ready == 0
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def masked_vectors_are_pending_and_sent_once(dut):
    """Masked by vector, by function, disabled, no bus master, link down: pending; then one each."""
    bed = await begin(dut, *SOME)
    closing = [{"function_mask": 1}, {"enable": 0}, {"bus_master": 0}, {"link_up": 0}, {}]
    for closed in closing:
        if closed:
            bed.set(**closed)
        else:
            for vector in SOME:
                await bed.mask(vector, True)
        before = len(bed.messages)
        bed.send(*(vector for vector in SOME for _ in range(3)))
        await ClockCycles(dut.clk, 30 + ROUND)
        assert len(bed.messages) == before
        assert await bed.read_pending() == sum(1 << vector for vector in SOME)
        if closed:
            bed.set(**{name: 1 - value for name, value in closed.items()})
        else:
            for vector in SOME:
                await bed.mask(vector, False)
        await bed.idle()
        assert sorted(message[0] for message in bed.messages[before:]) == SOME
        assert await bed.read_pending() == 0
    await bed.finish()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def holds_are_kept_and_end(dut):
    """Interval and limit, to the tick; time wraps many times."""
    vector, other = VECTORS - 1, 0
    bed = await begin(dut, vector, other)
    bed.bound = ROUND + 40
    late = TICK_CYCLES + VECTORS + 16
    for interval in sorted({1, 2, LONGEST // 2, LONGEST} if VECTORS < 100 else {1, LONGEST // 2}):
        hold = interval * TICK_CYCLES
        if hold > 20_000:
            continue
        await bed.moderate(vector, interval, 0)
        for repeat in range(4 if VECTORS < 100 else 1):
            # A hold of before may go on.
            await ClockCycles(dut.clk, LONGEST * TICK_CYCLES + 2 * late + repeat)
            before = len(bed.messages)
            bed.send(vector)
            await ClockCycles(dut.clk, 14)
            bed.send(vector, vector, vector)
            await bed.idle(hold + 2 * late)
            cycles = [message[2] for message in bed.messages[before:]]
            assert len(cycles) == 2, f"a first message, then one for three events: {cycles}"
            assert hold <= cycles[1] - cycles[0] <= hold + late
    if LONGEST * TICK_CYCLES < 100:
        await bed.finish()
        return
    await bed.moderate(vector, LONGEST, 5)
    await ClockCycles(dut.clk, LONGEST * TICK_CYCLES + 2 * late)
    for _ in range(3 if VECTORS < 100 else 1):
        before, cycle = len(bed.messages), bed.cycle
        bed.send(vector)
        await ClockCycles(dut.clk, 20)
        bed.send(*[vector] * 4)
        await ClockCycles(dut.clk, 30)
        assert len(bed.messages) == before + 1, "four events are less than five"
        bed.send(vector)
        await ClockCycles(dut.clk, 30)
        assert len(bed.messages) == before + 2, "the fifth ends the hold"
        await ClockCycles(dut.clk, LONGEST * TICK_CYCLES + 2 * late)
        assert bed.cycle - cycle > 80
    bed.send(other)
    await bed.idle()
    await bed.finish()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def a_limit_counts_to_its_largest(dut):
    """Count to 255 in a long hold, to 1, and beyond 255 while masked."""
    bed = await begin(dut, 0)
    if LONGEST * TICK_CYCLES < 900:
        return
    await bed.moderate(0, LONGEST, 255)
    bed.send(0)
    await ClockCycles(dut.clk, 20)
    bed.send(*[0] * 254)
    await ClockCycles(dut.clk, 290)
    assert len(bed.messages) == 1
    bed.send(0)
    await ClockCycles(dut.clk, 30)
    assert len(bed.messages) == 2
    await bed.mask(0, True)
    bed.send(*[0] * 400)
    await ClockCycles(dut.clk, 410)
    await bed.mask(0, False)
    await ClockCycles(dut.clk, 30)
    assert len(bed.messages) == 3
    await bed.moderate(0, LONGEST, 1)
    for more in range(4, 8):
        bed.send(0)
        await ClockCycles(dut.clk, 30)
        assert len(bed.messages) == more
    await bed.finish()


async def _software(bed: MsixBed, vectors: list[int], rounds: int) -> None:
    for _ in range(rounds):
        vector = random.choice(vectors)
        what = random.random()
        if what < 0.3:
            await bed.mask(vector, random.random() < 0.5)
        elif what < 0.5:
            await bed.program(vector, entry_of(vector, random.randint(1, 255)))
        elif what < 0.6:
            words = entry_of(vector, random.randint(1, 255)).words()
            await bed.write_entry(vector, (0, 1), words[:2])
            await bed.write_entry(vector, (2, 3), words[2:])
        elif what < 0.75:
            await bed.read("pending", vector // 32)
        elif what < 0.9:
            number = random.randrange(4)
            assert await bed.read("table", 4 * vector + number) == bed.model.read(vector, number)
        else:
            gate = random.choice(["enable", "function_mask", "bus_master", "link_up"])
            bed.set(**{gate: 1 - bed.gates[gate]})
            await ClockCycles(bed.dut.clk, random.choice([1, 2, 3, 30]))
            bed.set(**{gate: 1 - bed.gates[gate]})


@cocotb.test(timeout_time=8, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.7], moderated=[False, True])
async def everything_at_once(dut, stall, moderated):
    """Events, masks, rewritten entries, gates, holds, failures at random: the model agrees."""
    vectors = sorted({*SOME, *random.sample(range(VECTORS), min(VECTORS, 20))})
    bed = await begin(dut, *vectors)
    if moderated:
        for vector in vectors[::2]:
            interval = random.choice([1, 2, min(LONGEST, 300 // TICK_CYCLES + 1)])
            await bed.moderate(vector, interval, random.choice([0, 0, 1, 2, 7]))
    bed.pause, bed.fail = chance(stall), chance(0.1)
    bed.event_pause = chance(0.5)
    if not stall:
        bed.bound = 4 * (ROUND + len(vectors) + 80) + 100
    software = cocotb.start_soon(_software(bed, vectors, 150))
    while not software.done():
        if len(bed.queue) < 20:
            bed.send(*(random.choice(vectors) for _ in range(random.randint(1, 20))))
            if random.random() < 0.2:
                bed.send(random.randint(VECTORS, 2047) if VECTORS < 2048 else 0)
        bed.event_pause = chance(random.choice([0.0, 0.5, 0.95]))
        await ClockCycles(dut.clk, 25)
    await software
    bed.event_pause = never
    await bed.idle()
    assert len(bed.messages) > 100
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def accesses_and_a_busy_vector_delay_others_by_a_bound(dut):
    """Access registers without end, with a vector that has an event a cycle: others still send."""
    bed = await begin(dut, *SOME)
    bed.bound = 4 * (ROUND + 100)
    running = True

    async def access() -> None:
        while running:
            await bed.read("table", 4 * random.choice(SOME))

    accesses = [cocotb.start_soon(access()) for _ in range(3)]
    for _ in range(60):
        bed.send(*([SOME[0]] * 30), random.choice(SOME))
        await ClockCycles(dut.clk, 31)
    running = False
    for task in accesses:
        await task
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_memory_that_takes_nothing_stops_no_access(dut):
    """With messages stuck, registers answer and events are taken; then all is sent."""
    bed = await begin(dut, *SOME)
    bed.pause = lambda: True
    bed.send(*SOME * 3)
    await ClockCycles(dut.clk, 50)
    assert len(bed.messages) == 1
    for vector in SOME:
        await bed.mask(vector, True)
    bed.pause = never
    await ClockCycles(dut.clk, 60 + ROUND)
    assert len(bed.messages) == 1, "the others were masked before they began"
    for vector in SOME:
        await bed.mask(vector, False)
    await bed.idle()
    assert bed.not_ready == 0
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def reset_forgets_everything(dut):
    """Reset with messages stuck, vectors pending and held: all masked, nothing pending or held."""
    bed = await begin(dut, *SOME)
    for _ in range(3):
        for vector in SOME:
            await bed.moderate(vector, LONGEST, 0)
        bed.send(*SOME)
        await ClockCycles(dut.clk, 30)
        await bed.mask(SOME[-1], True)
        bed.pause = lambda: True
        bed.send(*SOME * 3)
        await ClockCycles(dut.clk, random.randint(5, 40))
        await bed.reset()
        bed.pause = never
        assert await bed.read_pending() == 0
        for vector in SOME:
            found = [await bed.read("table", 4 * vector + n) for n in range(4)]
            assert found == [*MsixEntry().words()]
            assert await bed.read("moderation", vector) == 0
            await bed.program(vector, entry_of(vector, 9))
        before = len(bed.messages)
        await ClockCycles(dut.clk, 60 + ROUND)
        assert len(bed.messages) == before
        for _ in range(2):
            bed.send(*SOME)
            await ClockCycles(dut.clk, 40 + ROUND)
        assert len(bed.messages) == before + 2 * len(SOME)
        await bed.finish()
