"""cocotb testbench of hdl.roce.Writer: rates, latencies, and how much may wait."""

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.layouts import EventKind

from .writer_bed import Order
from .writer_traffic import (
    ARM,
    CONSUMED,
    DATA_BYTES,
    IS_NARROW,
    ROWS,
    ack,
    attach,
    completion_order,
    data_order,
    nothing_order,
    ready_queues,
)

ENTRY_BEATS = max(1, 32 // DATA_BYTES)
#: Entries that may wait for flushes.
ENTRIES = 16 if IS_NARROW else 65
#: From one order to the next.
ORDER_CYCLES = 2 if IS_NARROW else 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def many_writes_wait_for_responses(dut):
    """As many as stated begin before the first response comes."""
    bed = await attach(dut)
    answering = [False]
    bed.slave.responds = lambda: answering[0]
    for number in range(300):
        bed.send(data_order(1, 0, 64 * number, 8, **ack(number)))
    await ClockCycles(dut.clk, 400)
    assert len(bed.slave.writes) == ROWS
    answering[0] = True
    await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rates_are_as_stated(dut):
    """Orders of one beat each cycle; entries in 3 cycles, or one for each of their beats."""
    bed = await attach(dut)
    await ready_queues(bed)
    packets = bed.slave.packets
    size = min(64, DATA_BYTES)

    async def span(*makers) -> int:
        packets.restart()
        for number in range(60):
            bed.send(makers[number % len(makers)](number))
        await bed.drain()
        return packets.span

    def data(number: int) -> Order:
        return data_order(number % 16, 0, 64 * number, size, **ack(number))

    def entry(number: int) -> Order:
        return completion_order(number % 16, 0, kind=EventKind.NOTHING)

    assert await span(data) == 1 + 59 * ORDER_CYCLES
    entry_cycles = max(3, ENTRY_BEATS)
    assert await span(entry) == 59 * entry_cycles + ENTRY_BEATS
    # And the way of the last entry, which is longer than that of data.
    assert await span(data, entry) <= 30 * (1 + entry_cycles) + 4 + IS_NARROW
    # A driver that does not stop takes every other turn, and no more.
    for _ in range(300):
        bed.command(0, CONSUMED, 0)
    begin = packets.cycle
    await span(entry)
    assert packets.last - begin <= 60 * 6 + 10
    assert bed.flush_count == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def entries_do_not_wait_for_each_other_s_flushes(dut):
    """With a memory that is far away, data and entries elsewhere go at the rate of their orders."""
    bed = await attach(dut, latency=100)
    await ready_queues(bed)
    count = 200
    size = 64
    for number in range(count):
        bed.send(data_order(number % 16, 1, 64 * number, size))
        bed.send(completion_order(number % 16, number % 4, **ack(number)))
    await bed.drain()
    assert bed.flush_count == count
    cycles = max(5, max(1, size // DATA_BYTES) + ENTRY_BEATS)
    # And at the end, the last one's round trip.
    assert bed.slave.packets.span <= cycles * count + 110


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_flush_that_takes_long_holds_up_no_data(dut):
    """Orders behind a completion go on at full rate, also behind others, until rows are full."""
    bed = await attach(dut)
    await ready_queues(bed)
    for waiting in (1, 3):
        bed.slave.held = {1}
        bed.slave.requests.restart()
        bed.send(data_order(0, 1, 0, 8))
        for number in range(waiting):
            bed.send(data_order(number, 1, 64 * number, 8))
            bed.send(completion_order(number, number, **ack(number)))
        rows = 3 * waiting - 1  # the data before the first flush have been written
        await ClockCycles(dut.clk, 100)
        packets = bed.slave.packets
        packets.restart()
        for number in range(300):
            bed.send(data_order(4 + number % 12, 0, 64 * number, 8, **ack(number)))
        events = len(bed.events)
        await ClockCycles(dut.clk, 400)
        assert packets.accepted == ROWS - rows
        assert packets.span == 1 + (packets.accepted - 1) * ORDER_CYCLES
        assert len(bed.events) == events
        assert not any(write.tag == 1 for write in bed.slave.writes if not write.responded)
        bed.slave.held = set()
        await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def as_many_entries_wait_as_stated(dut):
    """Behind a flush, then orders wait; all are written when it ends."""
    bed = await attach(dut)
    await ready_queues(bed)
    bed.slave.held = {1}
    bed.send(data_order(0, 1, 0, 8))
    for number in range(100):
        bed.send(completion_order(number % 16, number % 4, **ack(number)))
    await ClockCycles(dut.clk, 500)
    assert bed.taken - 16 - 1 == ENTRIES
    assert bed.begun == 1
    bed.slave.held = set()
    await bed.drain()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(most=[1, 3, 1000], first=["data", "entry", "flush"])
async def full_rows_end(dut, most, first):
    """However few writes a memory takes before it has responded, and whatever waits in front."""
    bed = await attach(dut, most=most)
    await ready_queues(bed)
    answering = [False]
    bed.slave.responds = lambda: answering[0]
    if first == "data":
        bed.send(data_order(0, 0, 0, 8, **ack()))
    if first == "flush":
        bed.send(data_order(0, 1, 0, 8))
    for _ in range(2):
        for number in range(5):
            bed.send(completion_order(number, number % 4, **ack(number)))
        for number in range(300):
            bed.send(data_order(number % 16, number % 3, 64 * number, 8, **ack(number)))
    await ClockCycles(dut.clk, 500)
    answering[0] = True
    await bed.drain()


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
    assert (request - taken, beat - taken) == (1, 2)
    assert event - response == 4
    bed.command(0, ARM, 0)
    await ClockCycles(dut.clk, 10)
    more = 0 if IS_NARROW else 1
    taken, request, beat, response, event, interrupt = await one(completion_order(1, 0, **ack()))
    # It is taken when its queue has said where it goes, 2 cycles after it came.
    assert (request - taken, beat - taken) == (4 + more, 5 + more)
    assert event - response == 4
    assert interrupt - response == 4
    taken, *_, event, _ = await one(nothing_order(1, **ack()))
    assert event - taken == 4 + IS_NARROW
    # With a flush, which goes in the cycle in which an entry would have gone.
    await one(data_order(1, 1, 0, 8))
    requests = bed.slave.requests
    bed.slave.responses.restart()
    requests.restart()
    begin = requests.cycle
    bed.send(completion_order(1, 0, **ack()))
    while not bed.slave.responses.accepted:
        await ClockCycles(dut.clk, 1)
    assert requests.first - begin == 5
    responded = bed.slave.responses.first
    requests.restart()
    await bed.drain()
    assert requests.first - responded == 3
    assert bed.flush_count == 1
