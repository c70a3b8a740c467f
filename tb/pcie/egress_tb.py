"""cocotb testbench of hdl.pcie.Egress."""

import os
import random
from collections import deque

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.pcie.tlp import TlpClass

from ..stream import chance
from ..stream.stream_port import never
from .egress_bed import QUEUES, SEGMENT_COUNT, SOURCE_COUNT, Harness
from .fake_crosspoint import fill_rows

QUANTUM_ROWS = int(os.environ["QUANTUM_ROWS"])


async def attach(dut, **kwargs) -> Harness:
    """Set everything up, with the link up."""
    harness = Harness(dut, **kwargs)
    await harness.begin()
    return harness


def hold_some() -> int:
    """Cycles that a row waits for its turn."""
    return random.choice([0, 0, 0, random.randint(1, 20)])


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.0, 0.5], gap=[0.0, 0.5], pause=[0.0, 0.7])
async def all_arrives_in_order(dut, sink_stall, gap, pause):
    """TLPs of all queues leave, each queue's in order, none mixed with another."""
    harness = await attach(dut, sink_stall=sink_stall)
    harness.grant_all()
    for source in range(SOURCE_COUNT):
        harness.feed(
            source,
            harness.mixed(source, 60),
            gap=chance(gap),
            pause=chance(pause),
            hold=hold_some,
        )
    await harness.drain()
    assert len(harness.received) == 60 * SOURCE_COUNT


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.0, 0.5])
async def scarce_credits_are_never_overdrawn(dut, sink_stall):
    """With credits that come in small amounts, all leaves in the end, and all is accounted for."""
    harness = await attach(dut, sink_stall=sink_stall)

    def trickle() -> None:
        for c in TlpClass:
            if random.random() < 0.3:
                harness.grant(c, random.randint(0, 2), random.randint(0, 12))

    harness.on_step = trickle
    tlps = [harness.mixed(source, 50) for source in range(SOURCE_COUNT)]
    for source, own in enumerate(tlps):
        harness.feed(source, own, gap=chance(0.3), pause=chance(0.5))
    await harness.drain(20000)
    for c in TlpClass:
        own = [tlp for of_source in tlps for tlp in of_source if tlp.tlp_class == c]
        assert harness.credits.spent[c] == [len(own), sum(tlp.data_credits for tlp in own)]


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(segments=list(range(1, 4 * SEGMENT_COUNT + 1)))
async def one_queue_has_the_full_rate(dut, segments):
    """TLPs of any length that fill their rows leave in as many cycles, 4 after they came."""
    harness = await attach(dut)
    harness.grant_all()
    harness.sink.open()
    count = 10 * SEGMENT_COUNT
    tlps = [harness.tlp(0, TlpClass.POSTED, 8 * segments - 1) for _ in range(count)]
    harness.feed(0, [tlp.with_changes(digest=None) for tlp in tlps])
    fed = harness.cycle
    await harness.drain()
    assert harness.sink.beats == harness.sink.span == count * segments // SEGMENT_COUNT
    # The edge that drives the head, then 4 cycles, and `o` is seen at the edge behind.
    assert harness.first_valid is not None
    assert harness.first_valid - fed == 1 + 4 + 1


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_length_passes(dut):
    """Every length from 1 DW to four beats, of two classes at once."""
    harness = await attach(dut)
    harness.grant_all()
    for source, c in ((0, TlpClass.POSTED), (1, TlpClass.COMPLETION)):
        lengths = range(1, 32 * SEGMENT_COUNT + 1)
        harness.feed(source, [harness.tlp(source, c, dwords) for dwords in lengths])
    await harness.drain()
    assert len(harness.received) == 64 * SEGMENT_COUNT


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(starved=list(TlpClass))
async def a_class_without_credits_holds_up_no_other(dut, starved):
    """While a class has no credits the others leave, and when it has some, it leaves too."""
    harness = await attach(dut)
    for c in TlpClass:
        if c != starved:
            harness.grant(c)
    for source in range(SOURCE_COUNT):
        harness.feed(source, harness.mixed(source, 40), gap=chance(0.2))
    for _ in range(2000):
        await RisingEdge(dut.clk)
        if not any(harness.feeds) and all(t.tlp_class == starved for t in harness.model.left()):
            break
    assert harness.model.left()
    assert all(tlp.tlp_class == starved for tlp in harness.model.left())
    harness.grant(starved)
    await harness.drain()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def busy_queues_take_turns(dut):
    """With every queue busy, none waits longer than the turns of the others last."""
    harness = await attach(dut)
    harness.grant_all()
    # Rows that always end within a TLP, where there is more than one lane to do so.
    segments = SEGMENT_COUNT + 1
    for source in range(SOURCE_COUNT):
        for c in TlpClass:
            tlps = [
                harness.tlp(source, c, 8 * segments).with_changes(digest=None) for _ in range(60)
            ]
            queue = harness.queues[source, c]
            for tlp in tlps:
                harness.entries[tlp] = harness.model.arrive(source, c, tlp, tlp.data_credits)
            waiting = deque(tlps)
            while waiting:
                for beat in fill_rows(waiting, SEGMENT_COUNT, never):
                    row = beat[c]
                    assert row is not None
                    queue.rows.append(row)
    rows_of_a_tlp = 1 + -(-(segments - 1) // SEGMENT_COUNT)
    turn = QUANTUM_ROWS + rows_of_a_tlp - 1
    await harness.drain()
    while harness.takes[-1] == harness.takes[-2]:  # the last one has all for itself
        harness.takes.pop()
    waited = dict.fromkeys(QUEUES, 0)
    for n, taken in enumerate(harness.takes):
        for queue in QUEUES:
            waited[queue] += 1
            busy = queue in harness.takes[n:]
            assert not busy or waited[queue] <= (len(QUEUES) - 1) * turn + 1, f"{queue} starves"
        waited[taken] = 0
    if SEGMENT_COUNT > 1:
        assert len(set(harness.takes[: turn + 1])) > 1, "nobody else had a turn"


@cocotb.test(timeout_time=400, timeout_unit="us")
async def a_large_tlp_gets_its_credits(dut):
    """Small TLPs that use up credits as they come do not keep a large one from its own for ever."""
    harness = await attach(dut)
    for source in range(1, SOURCE_COUNT):
        harness.feed(
            source,
            [harness.tlp(source, TlpClass.POSTED, 4).with_changes(digest=None) for _ in range(600)],
        )
    large = harness.tlp(0, TlpClass.POSTED, 256)
    harness.feed(0, [large])
    harness.on_step = lambda: harness.grant(TlpClass.POSTED, 1, 1)
    while large not in harness.received:
        await RisingEdge(dut.clk)
        rows = len(harness.takes)
        bound = SOURCE_COUNT * (QUANTUM_ROWS + 2) + 64 // SEGMENT_COUNT + 2
        assert rows < bound, f"{rows} rows before it"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(sink_stall=[0.0, 0.5], dead_stall=[0.0, 0.8])
async def a_link_that_goes_down_leaves_nothing_behind(dut, sink_stall, dead_stall):
    """Down within TLPs and up again: nothing stale is sent, requests are buried, nothing hangs."""
    harness = await attach(dut, sink_stall=sink_stall, dead_stall=dead_stall)
    harness.grant_all()
    for _ in range(25):
        for source in range(SOURCE_COUNT):
            harness.feed(source, harness.mixed(source, 10), gap=chance(0.2), pause=chance(0.3))
        await ClockCycles(dut.clk, random.randint(1, 40))
        harness.set_link(False)
        await ClockCycles(dut.clk, random.choice([3, 4, 5, random.randint(3, 60)]))
        harness.set_link(True)
        await ClockCycles(dut.clk, 2)
        harness.grant_all()
        if random.random() < 0.3:
            await harness.drain()
    await harness.drain()
    assert harness.buried
    before = len(harness.received)
    for source in range(SOURCE_COUNT):
        harness.feed(source, harness.mixed(source, 20))
    await harness.drain()
    assert len(harness.received) == before + 20 * SOURCE_COUNT


@cocotb.test(timeout_time=400, timeout_unit="us")
async def a_request_that_was_cut_off_is_not_answered(dut):
    """Where the link fails within a request the rest of it goes nowhere, not to `dead` either."""
    harness = await attach(dut)
    harness.grant_all()
    for _ in range(20):
        for source in range(SOURCE_COUNT):
            requests = [harness.tlp(source, TlpClass.NON_POSTED, 8) for _ in range(10)]
            digest = bytes(4)  # makes it two segments
            harness.feed(
                source, [tlp.with_changes(digest=digest) for tlp in requests], gap=chance(0.3)
            )
        await ClockCycles(dut.clk, random.randint(4, 12))
        harness.set_link(False)
        await ClockCycles(dut.clk, random.randint(3, 20))
        harness.set_link(True)
        await ClockCycles(dut.clk, 2)
        harness.grant_all()
    await harness.drain()


@cocotb.test(timeout_time=400, timeout_unit="us")
async def a_dead_link_takes_everything(dut):
    """While the link is down every queue runs empty without credits, even with `dead` refused."""
    harness = await attach(dut, dead_stall=1.0)
    harness.set_link(False)
    for source in range(SOURCE_COUNT):
        harness.feed(source, harness.mixed(source, 40))
    await ClockCycles(dut.clk, 400)
    for (_, c), queue in harness.queues.items():
        assert c == TlpClass.NON_POSTED or not queue.rows, "posted or completions are stuck"
    assert any(queue.rows for queue in harness.queues.values())
    harness.dead_pause = never
    await harness.drain()
    assert not any(queue.rows for queue in harness.queues.values())
    assert not harness.received


@cocotb.test(timeout_time=400, timeout_unit="us")
async def reset_within_a_tlp_forgets_it(dut):
    """After a reset in mid-traffic, with empty queues, all that is new leaves."""
    harness = await attach(dut, sink_stall=0.3)
    harness.grant_all()
    for _ in range(6):
        for source in range(SOURCE_COUNT):
            harness.feed(source, harness.mixed(source, 20), gap=chance(0.2))
        await ClockCycles(dut.clk, random.randint(5, 30))
        harness.reset(True)
        await ClockCycles(dut.clk, 3)
        harness.reset(False)
        harness.grant_all()
        await ClockCycles(dut.clk, 2)
        for source in range(SOURCE_COUNT):
            harness.feed(source, harness.mixed(source, 5))
        await harness.drain()
