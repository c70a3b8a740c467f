"""cocotb testbench of hdl.pcie.Crosspoint."""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge

from sim.pcie import Kind, Tlp, TlpClass

from .crosspoint_bed import (
    CREDITS,
    LATENCY,
    ROW_COUNTS,
    SEGMENT_COUNT,
    Bench,
    begin,
    everything,
    nothing,
    sometimes,
)
from .random_tlps import random_tlp

EVERY_LENGTH = os.environ["EVERY_LENGTH"] == "True"
#: Queues of 2 rows: no more than one TLP of a class at a time, and of two segments.
FEWEST_ROWS = max(ROW_COUNTS) == 2


def write_of(dwords: int, *, kind: Kind = Kind.MEMORY, **fields: Any) -> Tlp:
    """Memory write, or another TLP with data."""
    return Tlp(kind=kind, data=random.randbytes(4 * dwords), length=dwords, **fields)


def read_of(**fields: Any) -> Tlp:
    """Memory read."""
    return Tlp(kind=Kind.MEMORY, length=8, **fields)


def completion_of(**fields: Any) -> Tlp:
    """Completion without data."""
    return Tlp(kind=Kind.COMPLETION, **fields)


def some_tlps(count: int, most_dwords: int) -> list[Tlp]:
    """TLPs of every kind, of few requesters, so that runs are long and short."""
    tlps = []
    while len(tlps) < count:
        tlp = random_tlp(most_dwords=most_dwords)
        if tlp.data_credits <= CREDITS[tlp.tlp_class][1]:
            tlp = tlp.with_changes(requester=random.choice([5, 5, 5, 6]))
            tlps.append(
                tlp.with_changes(completer=random.choice([5, 6])) if tlp.is_completion else tlp
            )
    return tlps


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(
    stalls=[
        {},
        {TlpClass.POSTED: 0.8},
        {TlpClass.NON_POSTED: 0.9},
        {TlpClass.COMPLETION: 0.8},
        {tlp_class: 0.5 for tlp_class in TlpClass},
    ],
    gap=[0.0, 0.4],
)
async def all_leaves_in_order_and_as_soon_as_it_may(dut, stalls, gap):
    """Random TLPs, some for other ports: heads, contents and credits are the model's."""
    bench = await begin(dut)
    bench.choose = sometimes(stalls)
    for most_dwords, pause in ((1, 0), (24, 0), (200, 0), (24, 0.5)):
        bench.sender.gap, bench.sender.pause = gap, pause
        tlps = some_tlps(60, most_dwords)
        tlps += [Tlp(Kind.MESSAGE_BROADCAST, requester=5, code=n) for n in range(4)]
        random.shuffle(tlps)
        await bench.send(tlps, mine=0.8)
    assert bench.shared, "a broadcast must be among them"


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(tlp_class=list(TlpClass))
async def a_row_is_written_and_one_taken_in_each_cycle(dut, tlp_class):
    """Once the first row is there, every cycle takes a full one, until the last."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    make = {
        TlpClass.POSTED: lambda: write_of(random.choice([1, 9, 8])),
        TlpClass.NON_POSTED: read_of,
        TlpClass.COMPLETION: lambda: write_of(random.choice([1, 9, 8]), kind=Kind.COMPLETION),
    }[tlp_class]
    tlps = [make() for _ in range(20 * SEGMENT_COUNT)]
    bench.sender.free[tlp_class] = [10**6, 10**6]
    bench.sender.queue.extend((tlp, True) for tlp in tlps)
    for _ in range(LATENCY):
        assert await bench.cycle() == 0
    for _ in range(sum(tlp.segments for tlp in tlps) // SEGMENT_COUNT):
        assert await bench.cycle() == SEGMENT_COUNT


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(tlp_class=list(TlpClass))
async def the_worst_that_the_credits_allow_fills_the_last_row(dut, tlp_class):
    """TLPs that begin in the last lane, most with one segment more: each row gets used."""
    bench = await begin(dut)
    headers, data_credits = CREDITS[tlp_class]
    with_data, without = {
        TlpClass.POSTED: (Kind.MEMORY, Kind.MESSAGE_LOCAL),
        TlpClass.NON_POSTED: (Kind.SWAP, Kind.MEMORY),
        TlpClass.COMPLETION: (Kind.COMPLETION, Kind.COMPLETION),
    }[tlp_class]
    pairs = data_credits // 2
    seconds = min(pairs, headers)
    sizes = [int(number < seconds) for number in range(headers)]
    sizes[0] += pairs - seconds
    for _ in range(3):
        bench.sender.first_lane = SEGMENT_COUNT - 1
        bench.choose = nothing
        for pair_count in sizes:
            tlp = Tlp(kind=without, length=1)
            if pair_count:
                tlp = write_of(8 * pair_count, kind=with_data, digest=random.randbytes(4))
            bench.sender.queue.append((tlp, True))
        while not bench.sender.is_idle:
            await bench.cycle()
        for _ in range(LATENCY):
            await bench.cycle()
        assert bench.sender.free[tlp_class] == [0, data_credits % 2]
        bench.choose = everything
        await bench.drain()
    assert bench.most_rows[tlp_class] == ROW_COUNTS[tlp_class]


async def waiting_for(dut, *tlps: Tlp) -> tuple[Bench, list[bool]]:
    """Send TLPs, each in a beat of its own, to a crosspoint that keeps what is posted.

    Returns for each class whether its first TLP leaves all the same.
    """
    bench = await begin(dut)
    bench.choose = nothing
    bench.sender.first_lane = 0
    for tlp in tlps:
        bench.sender.queue.append((tlp, True))
        while not bench.sender.is_idle:
            await bench.cycle()
        for _ in range(4):
            await bench.cycle()
    moves = [
        bool(dut[f"heads__{n}__allowed"].value & dut[f"heads__{n}__valid"].value) for n in range(3)
    ]
    bench.choose = everything
    await bench.drain()
    return bench, moves


@cocotb.test(timeout_time=20, timeout_unit="us")
async def who_may_pass_a_posted_tlp(dut):
    """Try the table of ordering rules on a posted TLP of requester 5 that does not leave."""
    if FEWEST_ROWS:
        return
    posted = write_of(1, requester=5)
    cases = [
        (read_of(), False),
        (read_of(relaxed_ordering=True), False),
        (write_of(1, kind=Kind.SWAP), False),
        (write_of(1, kind=Kind.SWAP, relaxed_ordering=True), True),
        (read_of(id_ordering=True, requester=5), False),
        (read_of(id_ordering=True, requester=6), True),
        (read_of(requester=6), False),
        (completion_of(), False),
        (completion_of(relaxed_ordering=True), True),
        (completion_of(id_ordering=True, requester=6, completer=5), False),
        (completion_of(id_ordering=True, requester=5, completer=6), True),
        (completion_of(requester=5, completer=6), False),
    ]
    for tlp, passes in cases:
        _, moves = await waiting_for(dut, posted, tlp)
        assert moves[0], "a posted TLP waits"
        assert moves[tlp.tlp_class] == passes, str(tlp)
        assert moves[3 - tlp.tlp_class] is False
        # The other way round nothing waits.
        _, moves = await waiting_for(dut, tlp, posted)
        assert moves[0] and moves[tlp.tlp_class], str(tlp)
        # Behind two requesters, ID-based Ordering is not enough.
        _, moves = await waiting_for(dut, write_of(1, requester=7), posted, tlp)
        assert moves[tlp.tlp_class] == tlp.relaxed_ordering * (tlp.tlp_class == 2 or bool(tlp.data))


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(whole=[False, True])
async def the_rest_of_a_tlp_does_not_wait(dut, whole):
    """Where a row ends a completion and begins one that has to wait, the end is offered alone."""
    if SEGMENT_COUNT == 1 or FEWEST_ROWS:
        return
    bench = await begin(dut)
    bench.pick_whole = max if whole else min
    long = write_of(8 * SEGMENT_COUNT + 1, kind=Kind.COMPLETION)
    bench.choose = lambda tlp_class, offered: [] if tlp_class == TlpClass.POSTED else list(offered)
    # The beat in which the first completion ends has a posted TLP, then the second completion.
    filler = [completion_of() for _ in range(SEGMENT_COUNT - 3)]
    bench.sender.queue.extend(
        (tlp, True) for tlp in (long, write_of(1), *filler[:1], completion_of(tag=1))
    )
    for _ in range(12):
        await bench.cycle()
    assert long in bench.received[TlpClass.COMPLETION]
    assert len(bench.received[TlpClass.COMPLETION]) == 1
    bench.choose = everything
    await bench.drain()
    assert len(bench.received[TlpClass.COMPLETION]) == 2 + len(filler[:1])


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(stuck=[TlpClass.NON_POSTED, TlpClass.COMPLETION])
async def a_class_that_is_held_up_for_long_keeps_its_turns(dut, stuck):
    """While hundreds of others pass, no count wraps: posted ones, and relaxed of its own kind."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    make = read_of if stuck == TlpClass.NON_POSTED else completion_of
    bench.choose = lambda tlp_class, offered: [] if tlp_class == stuck else list(offered)
    waiting = [make(tag=n) for n in range(3)]
    await_posted = [write_of(1) for _ in range(400)]
    bench.sender.queue.extend((tlp, True) for tlp in [await_posted[0], *waiting, *await_posted])
    while not bench.sender.is_idle:
        await bench.cycle()
    bench.choose = everything
    await bench.drain()
    assert bench.received[stuck] == waiting

    # Now a posted TLP is stuck, and relaxed completions pass it.
    bench.choose = lambda tlp_class, offered: [] if tlp_class == TlpClass.POSTED else list(offered)
    passing = [completion_of(relaxed_ordering=True, tag=n) for n in range(403)]
    strict = [completion_of(tag=n) for n in range(2)]
    bench.received[TlpClass.COMPLETION] = []
    bench.sender.free[TlpClass.COMPLETION] = [10**6, 10**6]
    bench.sender.queue.extend((tlp, True) for tlp in [write_of(1), *passing, *strict])
    while not bench.sender.is_idle:
        await bench.cycle()
    for _ in range(8):
        await bench.cycle()
    assert bench.received[TlpClass.COMPLETION] == passing
    bench.choose = everything
    await bench.drain()
    assert bench.received[TlpClass.COMPLETION] == passing + strict


@cocotb.test(timeout_time=200, timeout_unit="us")
async def data_credits_of_every_length(dut):
    """With and without a digest, the segments' credits add up to the TLP's: to what was spent."""
    if FEWEST_ROWS:
        return
    bench = await begin(dut)
    for tlp_class in TlpClass:
        bench.sender.free[tlp_class] = [10**6, 10**6]
    lengths = [*range(80), *(range(80, 1025) if EVERY_LENGTH else range(1024, 80, -53))]
    for dwords in lengths:
        for digest in (None, bytes(4)):
            fields = {"digest": digest, "kind": random.choice([Kind.MEMORY, Kind.COMPLETION])}
            tlp = write_of(dwords, **fields) if dwords else completion_of(digest=digest)
            bench.sender.queue.append((tlp, True))
    before = [list(free) for free in bench.sender.free]
    await bench.drain()
    assert bench.sender.free == before


@cocotb.test(timeout_time=20, timeout_unit="us")
async def reset_within_anything_forgets_it(dut):
    """After a reset at any time nothing is inside, nothing is freed, and all works."""
    bench = await begin(dut)
    for _ in range(12):
        bench.choose = sometimes({tlp_class: random.random() for tlp_class in TlpClass})
        bench.sender.queue.extend((tlp, True) for tlp in some_tlps(60, 40))
        for _ in range(random.randint(5, 60)):
            await bench.cycle()
        dut.rst.value = 1
        dut.i.value = 0
        for number in range(3):
            dut[f"heads__{number}__take"].value = dut[f"heads__{number}__whole"].value = 0
        await ClockCycles(dut.clk, 2)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        bench.reset()
        bench.choose = sometimes({})
        await bench.send(some_tlps(20, 40))
