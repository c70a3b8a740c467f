"""cocotb testbench of hdl.roce.Writer: claims of pages."""

import random

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.layouts import WriteOrderKind

from .writer_bed import PAGE
from .writer_traffic import (
    ARM,
    CONSUMED,
    ROWS,
    ack,
    attach,
    completion_order,
    data_order,
    nothing_order,
    random_action,
    ready_queues,
)


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
        taken = bed.taken
        bed.send(data_order(1, 1, page * PAGE, 8))
        bed.send(data_order(1, 0, (page + 1) * PAGE, 8))
        bed.send(data_order(1, 0, (page - 3) * PAGE, 8))
        bed.send(touching)
        bed.send(nothing_order(1, **ack()))
        bed.command(0, CONSUMED, 0)
        await ClockCycles(dut.clk, 50)
        assert bed.begun == before + 3
        # An entry alone holds up no data.
        assert bed.taken == taken + (5 if is_entry else 3)
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
@cocotb.parametrize(most=[1, 1000], stuck=["events", "interrupts", "failures"])
async def a_claim_is_granted_behind_an_entry_that_it_holds(dut, most, stuck):
    """Responses behind a held entry are taken, whether or not anybody takes what follows."""
    bed = await attach(dut, most=most)
    await ready_queues(bed, count=1)
    bed.slave.status_of = lambda write: int(write.address == 0xBAD)
    ring = bed.queues[0].address + 32  # its second place
    sink = bed.sinks[stuck]
    sink.pause = lambda: True
    bed.slave.held = {1}
    bed.command(0, ARM, 0)
    bed.send(completion_order(1, 0, **ack()))
    bed.send(data_order(1, 1, 0xBAD, 8, **ack()))
    bed.send(completion_order(1, 0, **ack()))
    for number in range(300):
        bed.send(data_order(2, 2, 64 * number, 8, **ack(number)))
    await ClockCycles(dut.clk, 500)
    claiming = cocotb.start_soon(bed.claim(0, ring // PAGE))
    await ClockCycles(dut.clk, 50)
    assert not claiming.done()
    bed.slave.held = set()
    await claiming
    sink.pause = lambda: False
    await ClockCycles(dut.clk, 3000 if most == 1 else 500)
    assert bed.slave.idle
    assert ROWS - 4 <= bed.begun < 303
    await bed.release()
    await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(is_entry=[False, True])
async def a_claim_waits_for_what_begins_as_it_comes(dut, is_entry):
    """Whichever cycle it comes in: what touches the page has its response, or begins behind it."""
    bed = await attach(dut)
    answering = [True]
    bed.slave.responds = lambda: answering[0]
    await ready_queues(bed, count=1)
    ring = bed.queues[0]
    waited = []
    for delay in range(12):
        page = (ring.address + 32 * (ring.producer % ring.size)) // PAGE
        answering[0] = False
        bed.send(completion_order(1, 0) if is_entry else data_order(1, 0, page * PAGE, 8))
        await ClockCycles(dut.clk, delay)
        claiming = cocotb.start_soon(bed.claim(0, page))
        await ClockCycles(dut.clk, 20)
        waited.append(not claiming.done())
        answering[0] = True
        await claiming
        await bed.release()
        await bed.drain()
    assert waited == sorted(waited)
    assert waited[-1] > waited[0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_claim_takes_as_long_as_stated(dut):
    """From when it comes, and from the response that it waits for."""
    bed = await attach(dut)
    answering = [True]
    bed.slave.responds = lambda: answering[0]

    async def claim() -> int:
        begin = bed.orders.cycle
        await bed.claim(0, 7)
        return bed.orders.cycle - begin

    assert await claim() == 4
    await bed.release()
    answering[0] = False
    bed.send(data_order(1, 0, 0, 8))
    await ClockCycles(dut.clk, 10)
    claiming = cocotb.start_soon(bed.claim(0, 7))
    await ClockCycles(dut.clk, 10)
    assert not claiming.done()
    bed.slave.responses.restart()
    answering[0] = True
    await claiming
    assert bed.slave.responses.cycle - bed.slave.responses.first == 2
    await bed.release()
