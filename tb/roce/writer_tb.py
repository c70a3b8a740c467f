"""cocotb testbench of hdl.roce.Writer: what is written, and what is told of it."""

import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.layouts import EventKind

from .writer_traffic import (
    ARM,
    ARM_SOLICITED,
    CONSUMED,
    DATA_BYTES,
    IS_NARROW,
    Driver,
    ack,
    attach,
    completion_order,
    data_order,
    nothing_order,
    random_action,
    ready_queues,
)


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
    """Packets of each length up to four beats, and of 4096 bytes, back to back."""
    bed = await attach(dut)
    lengths = [*range(1, 4 * DATA_BYTES + 1), 4095, 4096]
    for number, length in enumerate(lengths):
        bed.send(data_order(number % 16, 0, (number << 64) // len(lengths), length, **ack(number)))
    await bed.drain()
    assert len(bed.events) == len(lengths)
    # With narrow beats an order takes 2 cycles, and so does a packet of one beat.
    waits = DATA_BYTES if IS_NARROW else 0
    packets = bed.slave.packets
    assert packets.span == packets.accepted + waits, "a gap between packets"


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
        {3} if kind in (EventKind.NOTHING, EventKind.JOB) else set()
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
