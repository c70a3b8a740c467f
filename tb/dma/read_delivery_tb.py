"""cocotb testbench of hdl.dma.ReadDelivery."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge

from tb.stream import chance, reset

from .delivery_bed import DeliveryBed

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
TAG_COUNT = int(os.environ["TAG_COUNT"])
SLOT_BYTES = int(os.environ["SLOT_BYTES"])
ROW_BYTES = 32 * SEGMENT_COUNT
#: Cycles from a row that is read to its beat; from `done` to a row that is read.
BEAT_LATENCY = 8
READ_LATENCY = 5


def bed_of(dut) -> DeliveryBed:
    """Everything around the block."""
    return DeliveryBed(
        dut,
        client_count=CLIENT_COUNT,
        segment_count=SEGMENT_COUNT,
        tag_count=TAG_COUNT,
        slot_bytes=SLOT_BYTES,
    )


def ask_random(bed: DeliveryBed, count: int, *, longest: int = 3 * SLOT_BYTES) -> int:
    """Queue requests of all kinds: flushes, short, long, aligned and not; return their rows."""
    rows = 0
    for _ in range(count):
        length = random.choice(
            [0, random.randint(1, 8), ROW_BYTES, random.randint(1, longest), SLOT_BYTES]
        )
        offset = random.choice([0, 0, random.randrange(ROW_BYTES), random.randrange(SLOT_BYTES)])
        address = random.randrange(1 << 40) * SLOT_BYTES + offset
        block = random.choice([size for size in (128, 256, 512) if size <= SLOT_BYTES])
        rows += bed.ask(random.randrange(CLIENT_COUNT), address, length, block)
    return rows


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_offset_and_length(dut):
    """Each offset with each length of 0 to three rows; of wide rows a sample with every corner."""
    bed = bed_of(dut)
    cases = [(at, n) for at in range(ROW_BYTES) for n in range(3 * ROW_BYTES + 1)]
    if SEGMENT_COUNT > 1:
        near = {n * ROW_BYTES + d for n in range(4) for d in (-1, 0, 1)} - {-1}
        corners = [(at, n) for at in (0, 1, ROW_BYTES // 2, ROW_BYTES - 1) for n in near]
        corners += [(at, n - at) for at in range(ROW_BYTES) for n in near if n >= at]
        cases = corners + random.sample(cases, 500)
    random.shuffle(cases)
    await bed.begin()
    for offset, length in cases:
        address = random.randrange(1 << 40) * SLOT_BYTES + offset
        address += ROW_BYTES * random.randrange(SLOT_BYTES // ROW_BYTES)
        bed.ask(random.randrange(CLIENT_COUNT), address, length)
    await bed.settle()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(issue_stall=[0.0, 0.6], done_stall=[0.0, 0.6], sink_stall=[0.0, 0.5])
async def stalls_and_failures(dut, issue_stall, done_stall, sink_stall):
    """Any mix of requests, ends and failures, whoever pauses when."""
    bed = bed_of(dut)
    bed.issue_pause, bed.done_pause = chance(issue_stall), chance(done_stall)
    bed.failure = 0.2
    pause = chance(sink_stall)
    await bed.begin(data_pause=pause, response_pause=pause, delivered_pause=pause)
    ask_random(bed, 300)
    await bed.settle()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def responses_that_wait_hold_only_data(dut):
    """Slow responses, slow `delivered`, in turns, lose nothing."""
    bed = bed_of(dut)
    await bed.begin(response_pause=chance(0.9), delivered_pause=chance(0.8))
    ask_random(bed, 150)
    await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def first_failure_counts(dut):
    """Of a request of four pieces, the status is the first failed piece's, whichever ends first."""
    bed = bed_of(dut)
    await bed.begin()
    for _ in range(60):
        bed.failure = random.choice([0.3, 1.0])
        bed.ask(random.randrange(CLIENT_COUNT), random.randrange(ROW_BYTES), 3 * 128 + 1, 128)
        await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_passes_a_tag_that_is_out(dut):
    """While a client's first tag is out, others get theirs, itself nothing; then it gets all."""
    bed = bed_of(dut)
    await bed.begin()
    for client in range(CLIENT_COUNT):
        held = []
        bed.hold = lambda piece, held=held, client=client: (
            piece.client == client and not held and not held.append(1)
        )
        count = max(1, TAG_COUNT // 4)
        for _ in range(count):
            bed.ask(client, 64, ROW_BYTES + 3)
        before = bed.answered
        await ClockCycles(dut.clk, 60)
        assert bed.answered == before
        others = [n for n in range(CLIENT_COUNT) if n != client]
        for other in others:
            bed.ask(other, 5, 2 * ROW_BYTES)
        await ClockCycles(dut.clk, 100)
        assert bed.answered == before + len(others)
        bed.held.clear()
        await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_client_that_takes_nothing_stops_only_itself(dut):
    """Others go on; the client finds everything when it comes back."""
    bed = bed_of(dut)
    await bed.begin()
    for stuck in range(CLIENT_COUNT):
        for sink in (bed.data[stuck], bed.responses[stuck]):
            bed.answered = bed.asked = 0
            sink.pause = chance(1)
            await ClockCycles(dut.clk, 2)
            for _ in range(TAG_COUNT // 2):
                bed.ask(stuck, 3, SLOT_BYTES - 3)
            await ClockCycles(dut.clk, 60)
            before = bed.answered
            for client in range(CLIENT_COUNT):
                if client != stuck:
                    for _ in range(20):
                        bed.ask(client, random.randrange(100), 50)
            await ClockCycles(dut.clk, 20 * CLIENT_COUNT * 8 + 200)
            assert bed.answered == before + 20 * (CLIENT_COUNT - 1)
            sink.pause = chance(0)
            await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency_is_as_stated(dut):
    """From `done` to the row, to the beat, to the response and `delivered`."""
    bed = bed_of(dut)
    await bed.begin()
    for _ in range(3):
        for port in (*bed.data, *bed.responses, bed.delivered):
            port.restart()
        bed.reads.clear()
        bed.done_pause = chance(1)
        bed.ask(0, 0, ROW_BYTES)
        await ClockCycles(dut.clk, 20)
        bed.done_pause = chance(0)
        await bed.settle()
        # The bed drives `done` behind an edge, the block sees it at the next one.
        assert bed.reads[0] - (bed.dones[-1] + 1) == READ_LATENCY
        assert bed.last_beat - bed.reads[0] == BEAT_LATENCY
        assert bed.responses[0].first - bed.data[0].first == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_forgets(dut):
    """After a reset in mid-traffic nothing of before comes, and tags begin anew."""
    bed = bed_of(dut)
    bed.failure = 0.2
    await bed.begin(data_pause=chance(0.3))
    for _ in range(8):
        ask_random(bed, 100)
        await ClockCycles(dut.clk, random.randint(20, 150))
        ports = (*bed.data, *bed.responses, bed.delivered)
        await FallingEdge(dut.clk)  # when no driver is at work
        await reset(dut, *ports)
        bed.forget()
        for sink in bed.data:
            sink.packets = 0
        ask_random(bed, 20)
        await bed.settle()
