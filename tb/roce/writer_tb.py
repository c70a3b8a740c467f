"""cocotb testbench of hdl.roce.Writer."""

import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.layouts import EventKind, WriteOrderKind

from .writer_bed import PAGE, Order
from .writer_traffic import (
    ARM,
    ARM_SOLICITED,
    CONSUMED,
    DATA_BYTES,
    Driver,
    ack,
    attach,
    completion_order,
    data_order,
    nothing_order,
    random_action,
    ready_queues,
)

ENTRY_BEATS = max(1, 32 // DATA_BYTES)
#: Cycles that an order waits more with narrow beats.
MORE = int(DATA_BYTES <= 16)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(
    stall=[0.0, 0.4],
    response_chance=[1.0, 0.1],
    in_turns=[False, True],
    spaces=[(0,), (0, 1, 2, 3)],
)
async def actions_are_done_in_order(dut, stall, response_chance, in_turns, spaces):
    """Random actions, commands of the driver and failing writes: everything as the models say."""
    bed = await attach(
        dut, stall=stall, response_chance=response_chance, arrival_chance=0.2, in_turns=in_turns
    )
    bed.slave.status_of = lambda write: random.choice([0] * 40 + [1, 2, 5]) if write.length else 0
    await ready_queues(bed, spaces=spaces)
    for number in range(120):
        random_action(bed, number, spaces=spaces, pages=4, longest=300)
        if random.random() < 0.3:
            queue = random.randrange(4)
            model = bed.queues[queue]
            consumed = random.choice([model.consumer, model.producer])
            bed.command(queue, random.randrange(3), consumed)
        if random.random() < 0.5:
            await ClockCycles(dut.clk, random.randrange(12))
    await bed.drain()
    assert bed.interrupts
    assert bed.failures
    assert bed.events
    assert bool(bed.flush_count) == (len(spaces) > 1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_length_is_written(dut):
    """Packets of each length up to four beats, and of 4096 bytes, back to back.

    With narrow beats a packet of one beat takes 2 cycles.
    """
    bed = await attach(dut)
    lengths = [*range(1, 4 * DATA_BYTES + 1), 4095, 4096]
    for number, length in enumerate(lengths):
        bed.send(data_order(number % 16, 0, (number << 64) // len(lengths), length, **ack(number)))
    await bed.drain()
    assert len(bed.events) == len(lengths)
    gaps = MORE * DATA_BYTES  # behind those of one beat
    assert bed.slave.packets.span == bed.slave.packets.accepted + gaps, "a gap between packets"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_entry_waits_for_data_in_other_spaces(dut):
    """With data that do not arrive for long, an entry elsewhere is not written before they do."""
    bed = await attach(dut, arrival_chance=0.5)
    await ready_queues(bed, spaces=(2,), count=1)
    for held in ({0}, {1, 3}):
        bed.slave.held = held
        for space in held:
            bed.send(data_order(1, space, 0x1000, 64))
        bed.send(data_order(1, 2, 0x1000, 64))
        bed.send(completion_order(1, 0, **ack()))
        await ClockCycles(dut.clk, 200)
        assert not bed.slave.writes[-1].length, "the entry did not wait"
        bed.slave.held = set()
        await bed.drain()
    assert bed.flush_count == 3
    # What was flushed is not flushed again.
    bed.send(completion_order(1, 0, **ack()))
    await bed.drain()
    assert bed.flush_count == 3


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_flush_that_fails_fails_the_queue_pair(dut):
    """After it, the entry is written, and the queue pair fails before its event leaves."""
    bed = await attach(dut)
    await ready_queues(bed, spaces=(1,), count=1)
    bed.slave.status_of = lambda write: 0 if write.length else 5
    bed.send(data_order(3, 0, 0, 8))
    bed.send(completion_order(3, 0, **ack()))
    bed.send(nothing_order(4, **ack()))
    await bed.drain()
    assert bed.failures == [(3, 5)]
    assert [event["syndrome"] for event in bed.events] == [0x63, 31]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(kind=list(EventKind))
async def a_write_that_fails_is_answered(dut, kind):
    """Of each kind of event: answers become NAKs, of this action and all later ones till RESET."""
    bed = await attach(dut, stall=0.2)
    await ready_queues(bed)
    bed.slave.status_of = lambda write: int(write.address == 0xBAD)
    bed.send(data_order(5, 0, 0x1, 8, **ack(1)))
    bed.send(data_order(5, 0, 0xBAD, 8))
    bed.send(data_order(6, 0, 0x1, 8, **ack(2)))
    bed.send(data_order(5, 0, 0x2, 8, **ack(3, kind=kind)))
    bed.send(data_order(5, 0, 0x3, 8, **ack(4)))
    bed.send(data_order(5, 0, 0xBAD, 8, **ack(5)))
    bed.send(nothing_order(5, kind=EventKind.RESET))
    bed.send(data_order(5, 0, 0x3, 8, **ack(6)))
    bed.send(data_order(5, 0, 0xBAD, 8, kind=EventKind.NOTHING))
    bed.send(data_order(6, 0, 0x1, 8, **ack(7)))
    bed.send(nothing_order(6, kind=EventKind.NOTHING, notify=1))
    await bed.drain()
    assert bed.failures == [(5, 5)] * (3 if kind == EventKind.RESET else 2)
    nak = {event["psn"] for event in bed.events if event["syndrome"] == 0x63}
    assert nak == {3, 4, 5} - ({3, 4} if kind == EventKind.RESET else set()) - (
        {3} if kind in (EventKind.NOTHING, EventKind.JOB, EventKind.JOB_AGAIN) else set()
    )


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(size_shift=[0, 2])
async def a_full_queue_takes_nothing(dut, size_shift):
    """From then on it is in error, told once, as are queue pairs; set up anew, it takes entries."""
    bed = await attach(dut, stall=0.2)
    size = 1 << size_shift
    for _ in range(2):
        await ready_queues(bed, size_shift=size_shift)
        for number in range(size):
            bed.send(completion_order(number, 1, **ack()))
        await bed.drain()
        assert not bed.failures
        bed.command(1, CONSUMED, 1)
        await bed.drain()
        bed.send(completion_order(3, 1, **ack()))
        bed.send(completion_order(4, 1, **ack(1)))
        bed.send(completion_order(5, 1, kind=EventKind.NOTHING))
        await bed.drain()
        assert bed.failures == [(4, 4), (5, 4)]
        assert bed.queue_errors == [1]
        assert bed.events[-1]["psn"] == 1
        assert bed.events[-1]["syndrome"] == 0x63
        # To consume does not help; others are not touched.
        bed.command(1, CONSUMED, size)
        await ClockCycles(dut.clk, 10)
        bed.send(completion_order(6, 1, **ack()))
        bed.send(completion_order(7, 2, **ack()))
        await bed.drain()
        assert bed.failures[2:] == [(6, 4)]
        assert bed.queue_errors == [1]
        for queue_pair in (4, 5, 6):
            bed.send(nothing_order(queue_pair, kind=EventKind.RESET))
        await bed.drain()
        await bed.reset()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_queue_that_was_not_set_up_takes_nothing(dut):
    """Also not after a reset that follows its set-up."""
    bed = await attach(dut)
    await ready_queues(bed, count=2)
    bed.send(completion_order(1, 0, **ack()))
    bed.send(completion_order(2, 15, **ack()))
    await bed.drain()
    assert bed.failures == [(2, 4)]
    assert not bed.queue_errors
    await bed.reset()
    for queue in range(16):
        bed.send(completion_order(queue, queue, **ack()))
    await bed.drain()
    assert len(bed.failures) == 15  # 2 has failed, and was not reset
    assert not bed.slave.requests.accepted


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5], kind=[ARM, ARM_SOLICITED])
async def a_driver_that_sleeps_misses_nothing(dut, stall, kind):
    """If it looks only when it is interrupted, it finds each entry, whenever it arms."""
    bed = await attach(dut, stall=stall, response_chance=0.3, arrival_chance=0.05)
    await ready_queues(bed, spaces=(0, 1), size_shift=5)
    drivers = [Driver(bed, queue, kind) for queue in range(4)]
    sent: list[list[int]] = [[] for _ in drivers]
    bed.on_interrupt = lambda vector: drivers[vector - 0x700].poll()
    for number in range(300):
        queue = random.randrange(4)
        if len(sent[queue]) - drivers[queue].model.consumer < 32:
            order = completion_order(queue, queue, kind=EventKind.NOTHING)
            assert order.completion is not None
            solicited = kind == ARM_SOLICITED or order.completion.solicited
            order.completion = replace(order.completion, byte_length=number, solicited=solicited)
            bed.send(order)
            sent[queue].append(number)
        await ClockCycles(dut.clk, random.choice([0, 1, 3, 20]))
    await bed.drain()
    await ClockCycles(dut.clk, 500)
    assert sum(map(len, sent)) > 100
    assert [driver.found for driver in drivers] == sent


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_claim_keeps_writes_off_its_page_alone(dut):
    """While it lasts, data and entries that reach into the page wait; others go on."""
    bed = await attach(dut)
    await ready_queues(bed, count=1)
    ring = bed.queues[0]
    base = 0x123456789000
    for touching in (
        data_order(1, 0, base, 1),
        data_order(1, 0, base + 4095, 1),
        data_order(1, 0, base - 1, 2),
        data_order(1, 0, base - 4095, 4096),
        completion_order(1, 0),
    ):
        is_entry = touching.kind == WriteOrderKind.COMPLETION
        page = ring.address // PAGE if is_entry else base // PAGE
        bed.send(data_order(1, 0, page * PAGE, 8))
        await bed.drain()
        await bed.claim(0, page)
        before = bed.begun
        bed.send(data_order(1, 1, page * PAGE, 8))
        bed.send(data_order(1, 0, (page + 1) * PAGE, 8))
        bed.send(data_order(1, 0, (page - 3) * PAGE, 8))
        bed.send(touching)
        bed.send(nothing_order(1, **ack()))
        bed.command(0, CONSUMED, 0)
        await ClockCycles(dut.clk, 50)
        assert bed.begun == before + 3
        assert bed.commands.idle
        await bed.release()
        await bed.drain()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.4], response_chance=[1.0, 0.05])
async def claims_are_granted_whatever_is_written(dut, stall, response_chance):
    """Random claims under traffic to a few pages; some last, some are given up at once."""
    bed = await attach(dut, stall=stall, response_chance=response_chance, arrival_chance=0.3)
    await ready_queues(bed, spaces=(0, 1))

    async def traffic() -> None:
        for number in range(250):
            random_action(bed, number, spaces=(0, 1), pages=3, longest=4096 // 16)
            await ClockCycles(dut.clk, random.choice([0, 1, 10]))

    feeding = cocotb.start_soon(traffic())
    while not feeding.done():
        await bed.claim(random.randrange(2), random.randrange(3))
        await ClockCycles(dut.clk, random.choice([0, 1, 30]))
        await bed.release()
        await ClockCycles(dut.clk, random.choice([0, 1, 30]))
    await bed.drain()
    assert bed.claims > 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_claim_that_is_given_up_does_not_grant_the_next(dut):
    """After it, the next one waits for what was begun since."""
    bed = await attach(dut)
    held = [True]
    bed.slave.status_of = lambda write: 0
    bed.slave.responds = lambda: not held[0]
    bed.send(data_order(1, 0, 0, 8))
    await ClockCycles(dut.clk, 10)
    claiming = cocotb.start_soon(bed.claim(0, 5))
    await ClockCycles(dut.clk, 10)
    claiming.cancel()
    await bed.release()
    bed.send(data_order(1, 0, PAGE, 8))
    await ClockCycles(dut.clk, 10)
    assert len(bed.slave.writes) == 2
    claiming = cocotb.start_soon(bed.claim(0, 1))
    await ClockCycles(dut.clk, 10)
    # The response of the first write alone.
    held[0] = False
    await ClockCycles(dut.clk, 1)
    held[0] = True
    await ClockCycles(dut.clk, 20)
    assert sum(write.responded for write in bed.slave.writes) == 1
    assert not dut.claimed.value
    held[0] = False
    await claiming
    await bed.release()
    await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(delay=range(8))
async def a_claim_and_an_interrupt_both_come_through(dut, delay):
    """If somebody arms too late just before a claim, there is one interrupt, and a grant."""
    bed = await attach(dut)
    await ready_queues(bed, count=1)
    bed.send(completion_order(1, 0, **ack()))
    await bed.drain()
    bed.command(0, ARM, 0)
    await ClockCycles(dut.clk, delay)
    await bed.claim(0, 1)
    await bed.drain()
    assert bed.interrupts == [0x700]
    await bed.release()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def many_writes_wait_for_responses(dut):
    """64 at least begin before the first response comes, 16 with narrow beats."""
    bed = await attach(dut)
    answering = [False]
    bed.slave.responds = lambda: answering[0]
    for number in range(100):
        bed.send(data_order(1, 0, 64 * number, 8, **ack(number)))
    await ClockCycles(dut.clk, 300)
    least = 16 if MORE else 64
    assert least <= len(bed.slave.writes) < least + 36
    answering[0] = True
    await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rates_are_as_stated(dut):
    """Orders of one beat each cycle; entries in 3 cycles, or 2 and one for each of their beats.

    With narrow beats each takes one cycle more.
    """
    bed = await attach(dut)
    await ready_queues(bed)
    requests = bed.slave.requests
    size = min(64, DATA_BYTES)

    async def span(*makers) -> int:
        requests.restart()
        for number in range(60):
            bed.send(makers[number % len(makers)](number))
        await bed.drain()
        return requests.span

    def data(number: int) -> Order:
        return data_order(number % 16, 0, 64 * number, size, **ack(number))

    def entry(number: int) -> Order:
        return completion_order(number % 16, 0, kind=EventKind.NOTHING)

    size = DATA_BYTES if MORE else size
    assert await span(data) == 60 + 59 * MORE
    entry_cycles = 2 + MORE + ENTRY_BEATS
    assert await span(entry) == 59 * entry_cycles + 1
    assert await span(data, entry) <= 30 * (1 + MORE + entry_cycles)
    # A driver that does not stop takes every other turn, and no more.
    for _ in range(300):
        bed.command(0, CONSUMED, 0)
    begin = requests.cycle
    await span(entry)
    assert requests.last - begin <= 60 * (3 + entry_cycles) + 10
    assert bed.flush_count == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency_is_as_stated(dut):
    """Of a request, a beat, an entry, an event and an interrupt."""
    bed = await attach(dut)
    await ready_queues(bed)

    async def one(order: Order) -> tuple[int, ...]:
        ports = (bed.orders, bed.slave.requests, bed.slave.packets, bed.slave.responses)
        sinks = (bed.sinks["events"], bed.sinks["interrupts"])
        for port in (*ports, *sinks):
            port.restart()
        bed.send(order)
        await bed.drain()
        return tuple(port.first for port in (*ports, *sinks))

    taken, request, beat, response, event, _ = await one(data_order(1, 0, 0, 8, **ack()))
    assert (request - taken, beat - taken) == (1, 2)  # `taken` is a cycle late with narrow beats
    assert event - response == 1
    bed.command(0, ARM, 0)
    await ClockCycles(dut.clk, 10)
    taken, request, beat, response, event, interrupt = await one(completion_order(1, 0, **ack()))
    assert (request, beat) == (taken - ENTRY_BEATS + 2, taken - ENTRY_BEATS + 2)
    assert event - response == 1
    assert interrupt - response == 1
    taken, *_, event, _ = await one(nothing_order(1, **ack()))
    assert event - taken == 4 - MORE  # its queue is one of LUTs then


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(cycles=[3, 17, 40])
async def reset_in_mid_traffic_forgets_it(dut, cycles):
    """After a reset at any time, with a claim under way, all is as it was at first."""
    bed = await attach(dut, response_chance=0.1)
    await ready_queues(bed, spaces=(0, 1))
    for number in range(30):
        random_action(bed, number, spaces=(0, 1), pages=2, longest=64)
    claiming = cocotb.start_soon(bed.claim(0, 1))
    await ClockCycles(dut.clk, cycles)
    claiming.cancel()
    await bed.reset()
    await ready_queues(bed, spaces=(0, 1))
    for number in range(30):
        random_action(bed, number, spaces=(0, 1), pages=2, longest=64)
    await bed.drain()
    await bed.claim(0, 0)
