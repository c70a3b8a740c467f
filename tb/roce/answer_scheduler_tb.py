"""cocotb testbench of hdl.roce.AnswerScheduler."""

import os
import random
from collections import Counter
from dataclasses import replace
from itertools import count

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.roce.answer_scheduler import Text
from tb.stream import chance, reset

from .answer_bed import Bench, random_job
from .sizes import small

CONFIG = small(
    int(os.environ["DATA_BYTES"]),
    queue_pairs=int(os.environ["QUEUE_PAIRS"]),
    resources=int(os.environ["RESOURCES"]),
)
PAIRS = CONFIG.queue_pairs
IN_FLIGHT = 2 * CONFIG.data_bytes - 1
MTU_256 = 8
#: Cycles that a step takes: with narrow beats 3, so that all else takes three times as long, too.
STEP = 3 if CONFIG.is_narrow else 1
SYNDROMES = {"ACK": (0, 0x1F), "SEQUENCE_NAK": (0x60, 0x60), "RNR_NAK": (0x20, 0x3F)}


def text(kind: str, psn: int | None = None) -> Text:
    """Event with random fields."""
    psn = random.getrandbits(24) if psn is None else psn
    low, high = SYNDROMES.get(kind, (0x61, 0x64))
    again = kind in ("ACK", "JOB") and random.random() < 0.5
    return Text(kind, psn, random.getrandbits(24), random.randint(low, high), again)


async def cycles(dut, number: int) -> None:
    """Wait."""
    await ClockCycles(dut.clk, number)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(
    prompt_stall=[0.0, 0.8], read_stall=[0.0, 0.7], atomic_stall=[0.5], longest=[0, 60]
)
async def all_is_answered_in_order(dut, prompt_stall, read_stall, atomic_stall, longest):
    """Whatever comes and whoever stalls, each queue pair's answers are right and complete."""
    bench = Bench(
        dut,
        CONFIG,
        event_pause=chance(random.choice([0.0, 0.5])),
        prompt_pause=chance(prompt_stall),
        read_pause=chance(read_stall),
        atomic_pause=chance(atomic_stall),
        delay=lambda: random.randint(0, longest),
    )
    await bench.begin()
    pairs = random.sample(range(PAIRS), min(PAIRS, random.choice([2, 4, 16])))
    weights = random.choice([(5, 1, 1, 6), (9, 2, 1, 2), (1, 0, 0, 9)])
    for _ in range(1000):
        pair = random.choice(pairs)
        kind = random.choices(["ACK", "SEQUENCE_NAK", "RNR_NAK", "JOB"], weights)[0]
        what = random.random()
        if what < 0.005:
            await bench.drop(pair)
        elif what < 0.02:
            bench.add_event(pair, text("RESET"), random.random() < 0.2)
        elif what < 0.025:
            bench.add_event(pair, text("FATAL_NAK"))
        elif what < 0.1:
            bench.add_event(pair, text("NOTHING"), random.random() < 0.8)
        elif kind != "JOB":
            bench.add_event(pair, text(kind), random.random() < 0.05)
        elif bench.room(pair):
            marked, again = random.random() < 0.05, random.random() < 0.5
            await bench.add_job(pair, random_job(CONFIG), marked, again)
        if random.random() < 0.3:
            await cycles(dut, random.randint(1, 12))
    await bench.settle()
    assert bench.prompts
    assert bench.packets


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_slot_holds_what_says_most(dut):
    """Two events while a READ is at work: the answer behind it is exactly the model's."""
    bench = Bench(dut, CONFIG, delay=lambda: 60)
    await bench.begin()
    kinds = ["ACK", "SEQUENCE_NAK", "RNR_NAK", "FATAL_NAK"]
    for first in kinds:
        for second in [*kinds, "ACK again", "NOTHING", "RESET", "JOB", "JOB again"]:
            await bench.add_job(1, random_job(CONFIG, 0))
            await cycles(dut, 10)
            for name in (first, second):
                kind, again = name.split()[0], name.endswith("again")
                if kind == "JOB":
                    await bench.add_job(1, random_job(CONFIG, 0), again=again)
                else:
                    bench.add_event(1, replace(text(kind, 0xFFFFFF), again=again))
            await bench.settle()
            bench.add_event(1, text("RESET"))
            await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def acknowledgements_pass_reads_that_stand(dut):
    """With `reads` stalled for ever, other queue pairs' acknowledgements leave as ever."""
    stands = True
    bench = Bench(dut, CONFIG, read_pause=lambda: stands)
    await bench.begin()
    for kind in (0, 1):
        await bench.add_job(0, random_job(CONFIG, kind))
    others = range(1, PAIRS)
    await cycles(dut, 30)
    numbers = count()
    for _ in range(300):
        bench.add_event(random.choice(others), text("ACK", next(numbers)))
        await cycles(dut, 2 * STEP)
    assert len(bench.prompts) > (300 // 5 if PAIRS > 2 else 300 // 8)
    await cycles(dut, 6 * STEP * PAIRS)
    assert dut.events__ready.value
    assert not dut.prompt__valid.value
    for watch in bench.watches[1:]:
        watch.check_end()
    stands = False
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(has_reads=[False, True])
async def an_event_every_second_cycle(dut, has_reads):
    """Events of different queue pairs are taken as they come; also while packets leave at 400G.

    With narrow beats one every 6th cycle, while packets leave every 15th.
    """
    bench = Bench(
        dut,
        CONFIG,
        event_pause=lambda: bench.events.cycle < due + 2 * STEP * bench.events.accepted,
        read_pause=lambda: bench.cycle % (5 * STEP) != 0,
    )
    due = 0
    await bench.begin()
    await cycles(dut, 2 * PAIRS)
    if has_reads:
        for pair in range(2):
            await bench.add_job(pair, random_job(CONFIG, 0, operand=1 << 16, mtu_shift=MTU_256))
        await cycles(dut, 40 * STEP)
    bench.events.restart()
    before = len(bench.prompts), len(bench.packets)
    due = bench.events.cycle
    for number in range(400):
        bench.add_event(number % PAIRS, text("ACK"))
    while not bench.events.idle:
        await RisingEdge(dut.clk)
    assert bench.events.span <= STEP * (2 * 400 + (8 if has_reads else 0))
    if has_reads:
        assert len(bench.packets) > before[1] + 800 // 6
    if not has_reads or PAIRS > 2:
        assert len(bench.prompts) > before[0] + 400 // 8
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def events_of_one_queue_pair(dut):
    """One every 4 cycles, jobs among them."""
    bench = Bench(
        dut, CONFIG, event_pause=lambda: bench.events.cycle < due + 4 * bench.events.accepted
    )
    due = 1 << 30
    await bench.begin()
    await cycles(dut, 2 * PAIRS)
    for _ in range(CONFIG.resources):
        await bench.add_job(0, random_job(CONFIG, 0, operand=1))
        for _ in range(20):
            bench.add_event(0, text("ACK"))
    due = bench.events.cycle
    while not bench.events.idle:
        await RisingEdge(dut.clk)
    assert bench.events.span <= 4 * 21 * CONFIG.resources
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pairs=[1, 2, PAIRS])
async def a_packet_every_three_cycles_in_turns(dut, pairs):
    """Short packets of READs of one queue pair or of all, which take exact turns.

    With narrow beats a packet takes 7 cycles.
    """
    bench = Bench(dut, CONFIG, delay=lambda: 5)
    await bench.begin()
    await cycles(dut, 2 * PAIRS)
    each = max(4, 120 // pairs)
    for pair in range(pairs):
        job = random_job(CONFIG, 0, operand=each * 256, mtu_shift=MTU_256)
        await bench.add_job(pair, job)
    await bench.settle()
    order = [pair for pair, _ in bench.packets]
    assert len(order) == pairs * each
    bound = [packet for _, packet in bench.packets][-1] - bench.packets[0][1]
    # While the jobs come, the first ones have more turns, and at the end the last ones; then
    # there may be a job whose event came in the way.
    assert bound <= (7 if STEP > 1 else 3) * len(order) + STEP * pairs
    if pairs > 1:
        everyone = order[3 * pairs : -each]
        for begin in range(len(everyone) - pairs):
            assert max(Counter(everyone[begin : begin + pairs]).values()) <= 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def answers_take_turns(dut):
    """With an ACK for every queue pair all the time, each has its turn after all others."""
    bench = Bench(dut, CONFIG)
    await bench.begin()
    await cycles(dut, 2 * PAIRS)
    for number in range(PAIRS * 16):
        bench.add_event(number % PAIRS, text("ACK"))
    while not bench.events.idle:
        await RisingEdge(dut.clk)
    last: dict[int, int] = {}
    for turn, (pair, _) in enumerate(bench.prompts):
        assert turn - last.get(pair, -1) <= PAIRS + 1
        last[pair] = turn
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def packets_in_flight_have_a_bound(dut):
    """With nothing told to be sent, 2 * data_bytes - 1 packets leave; then they go on."""
    bench = Bench(dut, CONFIG, delay=lambda: 10**9)
    await bench.begin()
    pairs = range(min(PAIRS, 4))
    for pair in pairs:
        job = random_job(CONFIG, 0, operand=IN_FLIGHT * 256, mtu_shift=MTU_256)
        await bench.add_job(pair, job)
    await cycles(dut, 8 * IN_FLIGHT + 100)
    assert len(bench.packets) == IN_FLIGHT
    bench.delay = lambda: 0
    bench.waiting["sent"] = [(0, pair, job) for _, pair, job in bench.waiting["sent"]]
    await bench.settle()
    assert len(bench.packets) == IN_FLIGHT * len(pairs)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def drops_wait_for_what_has_been_sent(dut):
    """No drop is lost, one in every cycle, while a packet has been sent in every cycle."""
    bench = Bench(dut, CONFIG, delay=lambda: 10**9)
    await bench.begin()
    job = random_job(CONFIG, 0, operand=IN_FLIGHT * 512, mtu_shift=MTU_256)
    for pair in range(min(PAIRS, 4)):
        await bench.add_job(pair, job)
        bench.add_event(pair, text("ACK"))
    await cycles(dut, 8 * IN_FLIGHT + 100)
    bench.waiting["sent"] = [(0, pair, job) for _, pair, job in bench.waiting["sent"]]
    for number in range(IN_FLIGHT):
        pair = max(0, number + min(PAIRS, 4) - IN_FLIGHT)  # the last drop of each comes late
        bench.watches[pair].take(Text("DROP", 0, 0, 0), False)
        bench.watches[pair].forget()
        dut["drop"].value = 1 | pair << 1
        await RisingEdge(dut.clk)
    dut["drop"].value = 0
    await cycles(dut, 2 * IN_FLIGHT)
    await bench.settle()
    assert not bench.prompts


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def forgotten_jobs_give_their_rows_back(dut):
    """DROP and RESET at any time of READs and atomic operations; then the next jobs are done."""
    bench = Bench(dut, CONFIG, delay=lambda: random.randint(0, 30))
    await bench.begin()
    for number in range(120):
        pair = number % 2
        for _ in range(random.randint(1, bench.room(pair))):
            await bench.add_job(pair, random_job(CONFIG, random.choice([0, 1, 2])))
        await cycles(dut, random.randint(0, 20))
        if number % 3:
            bench.add_event(pair, text("RESET"))
        else:
            await bench.drop(pair)
        while not bench.room(pair):
            await RisingEdge(dut.clk)
    await bench.settle()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """From an event to `prompt`, `reads`, `atomics` 6, 6, 8 cycles; narrow beats: 10, 10, 15."""
    bench = Bench(dut, CONFIG)
    await bench.begin()
    await cycles(dut, 2 * PAIRS)
    for kind, offers, latency in (
        (None, bench.prompts, 6 if STEP == 1 else 10),
        (0, bench.packets, 6 if STEP == 1 else 10),
        (1, bench.operations, 8 if STEP == 1 else 15),
    ):
        bench.events.restart()
        if kind is None:
            bench.add_event(0, text("ACK"))
        else:
            await bench.add_job(0, random_job(CONFIG, kind, operand=5))
        await bench.settle()
        assert offers[0][1] - bench.events.first == latency


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_forgets_everything(dut):
    """After a reset in the midst of it all, the rows are empty."""
    bench = Bench(dut, CONFIG, delay=lambda: 10**9, read_pause=chance(0.3), scribbles=False)
    await bench.begin()
    for pair in range(PAIRS):
        await bench.add_job(pair, random_job(CONFIG, 0))
        bench.add_event(pair, text("SEQUENCE_NAK"), True)
    bench.events.taken.clear()
    await reset(dut, bench.events, bench.prompt, bench.reads, bench.atomics)
    before = len(bench.prompts), len(bench.packets)
    await cycles(dut, 4 * PAIRS + 20)
    assert (len(bench.prompts), len(bench.packets)) == before
    assert dut.events__ready.value
