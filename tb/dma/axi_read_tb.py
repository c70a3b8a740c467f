"""cocotb tests of hdl.dma.AxiRead."""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiRamRead, AxiReadBus

from sim.dma import ReadRequest
from tb.stream import chance, reset, start

from .axi_read_bed import TIMEOUT, AxiReadBed, pattern

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
BURST_BYTES = int(os.environ["BURST_BYTES"])
BUFFER_ROWS = int(os.environ["BUFFER_ROWS"])
SLOW = 5000  # cycles that no test's memory takes
OK, UNSUPPORTED, ABORT = 0, 1, 2


async def bed_of(dut: Any, *, timeout: int = SLOW, **options: Any) -> AxiReadBed:
    """Make a bed, and start."""
    bed = AxiReadBed(
        dut,
        client_count=CLIENT_COUNT,
        data_bytes=DATA_BYTES,
        burst_bytes=BURST_BYTES,
        **options,
    )
    dut.timeout.value = timeout
    await start(dut)
    return bed


def any_request(most: int = 3000) -> ReadRequest:
    """Make a request of 0 to ``most`` bytes anywhere."""
    length = random.choice([0, 1, DATA_BYTES, random.randint(0, most), random.randint(0, 64)])
    page = random.choice([0, 1 << 32, random.getrandbits(51)]) * 4096
    offset = random.choice([random.randrange(4096), random.randint(4000, 4095), 0])
    return ReadRequest(page + offset, length, random.getrandbits(8))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def every_offset_and_length(dut):
    """Each place in a row with each length to three rows, before and over 4 KB."""
    bed = await bed_of(dut)
    step = 1 if DATA_BYTES <= 32 else 13
    number = 0
    for offset in [*range(0, DATA_BYTES, step), DATA_BYTES - 1]:
        for length in [*range(0, 3 * DATA_BYTES, step), 3 * DATA_BYTES]:
            base = random.choice([0x1000, 0x2000 - 2 * DATA_BYTES, 0x2000 - DATA_BYTES])
            request = ReadRequest(base + offset, length, number & 255)
            bed.ask(number % CLIENT_COUNT, request)
            number += 1
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def blocks(dut):
    """Begin and end around multiples of the longest burst; read up to 65535 bytes."""
    bed = await bed_of(dut)
    for client, delta in enumerate((-1, 0, 1) * 3):
        for length in (BURST_BYTES - 1, BURST_BYTES, BURST_BYTES + 1, 4096):
            request = ReadRequest((1 << 40) - BURST_BYTES + delta, length, length & 255)
            bed.ask(client % CLIENT_COUNT, request)
    bed.ask(0, ReadRequest((1 << 64) - 65535, 65535, 9))
    bed.ask(1, ReadRequest((1 << 32) - 4097, 65535, 10))
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(client_pause=[0.0, 0.6], slave_pause=[0.0, 0.5])
async def random_reads(dut, client_pause, slave_pause):
    """Random reads of all clients, some of which fail, whatever pauses."""
    faults = {}

    def resp(beat: int) -> int:
        return faults.setdefault(beat, random.choice([0] * 60 + [1, 2, 3]))

    bed = await bed_of(
        dut, resp=resp, client_pause=chance(client_pause), slave_pause=chance(slave_pause)
    )
    for _ in range(40):
        for client in range(CLIENT_COUNT):
            bed.ask(client, any_request(20 * DATA_BYTES))
    await bed.settle()
    statuses = {status for statuses in bed.statuses for status in statuses}
    assert statuses == {OK, UNSUPPORTED, ABORT}


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def others_memory(dut):
    """Read the same bytes from the memory of cocotbext-axi."""
    ram: Any = AxiRamRead(AxiReadBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=1 << 16)
    for page in range(0, 1 << 16, 4096):
        ram.write(page, pattern(page, 4096) if page + 4096 <= 65521 else bytes(4096))
    bed = await bed_of(dut, slave=False)
    for number in range(60):
        address = random.randrange(40000)
        bed.ask(number % CLIENT_COUNT, ReadRequest(address, random.randint(0, 2000), number))
    await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_client_that_stops(dut):
    """Let a client take nothing: it holds up nobody, and has no more bursts than room."""
    bed = await bed_of(dut, latency=20)
    stopped = CLIENT_COUNT - 1
    bed.data[stopped].pause = lambda: True
    for _ in range(4):
        bed.ask(stopped, ReadRequest(64, BUFFER_ROWS * DATA_BYTES // 2, 1))
    for number in range(20):
        bed.ask(number % stopped, ReadRequest(random.randrange(9999), 700, number))
    await ClockCycles(dut.clk, 100)
    while any(bed.requests[:stopped]):
        await ClockCycles(dut.clk, 10)
    assert bed.requests[stopped]
    assert bed.slave is not None
    assert sum(burst.beats for burst in bed.slave.bursts[stopped]) <= BUFFER_ROWS
    assert not bed.slave.stalls
    bed.data[stopped].pause = lambda: False
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(client_pause=[0.0, 0.5])
async def silence(dut, client_pause):
    """Let the memory say nothing to a client: TIMEOUT; all is well when it has said all."""
    bed = await bed_of(dut, timeout=300, client_pause=chance(client_pause))
    slave = bed.slave
    assert slave is not None
    for round_number in range(5):
        bed.slow = {0}
        for number in range(12):
            for client in range(CLIENT_COUNT):
                bed.ask(client, any_request(12 * DATA_BYTES))
            if number == round_number * 2:
                slave.silent = {0}
        while not bed.idle:
            await ClockCycles(dut.clk, 10)
        assert bed.statuses[0][-1] == TIMEOUT
        assert all(status == OK for of in bed.statuses[1:] for status in of)
        before = slave.addresses
        bed.ask(0, ReadRequest(5, 1000, 1))  # is not sent
        bed.ask(0, ReadRequest(5, 0, 2))
        while not bed.idle:
            await ClockCycles(dut.clk, 10)
        assert slave.addresses == before
        assert bed.statuses[0][-2:] == [TIMEOUT, TIMEOUT]

        # What is owed comes, while more is asked for, which must not take it for its own.
        slave.silent = set()
        for number in range(30):
            bed.ask(0, ReadRequest(random.randrange(99999), random.randint(0, 300), number))
        while not bed.idle or slave.owed:
            await ClockCycles(dut.clk, 10)
        await ClockCycles(dut.clk, 10)
        bed.slow = set()
        for queue in (*bed.bursts, *slave.bursts.values()):
            queue.clear()
        for _ in range(5):
            bed.ask(0, any_request(12 * DATA_BYTES))
        await bed.settle()
        assert bed.statuses[0][-5:] == [OK] * 5
        bed.forget(CLIENT_COUNT)
        for data in bed.data:
            data.packets = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def not_before_its_time(dut):
    """Let the memory take as long as `timeout` for each beat."""
    bed = await bed_of(dut, timeout=100)
    assert bed.slave is not None
    bed.slave.latency = 90
    for number in range(4):
        bed.ask(number % CLIENT_COUNT, ReadRequest(number, 3 * DATA_BYTES, number))
        await bed.settle()
    bed.slow = {0}
    bed.slave.silent = {0}
    bed.ask(0, ReadRequest(0, 1, 1))
    await ClockCycles(dut.clk, 100)
    assert not bed.idle
    await ClockCycles(dut.clk, 140)
    assert bed.idle


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def deaf(dut):
    """Let the memory take no address: every request is answered; then all goes on."""
    bed = await bed_of(dut, timeout=100)
    assert bed.slave is not None
    bed.slave.deaf = True
    bed.slow = set(range(CLIENT_COUNT))
    for number in range(20 * CLIENT_COUNT):
        bed.ask(number % CLIENT_COUNT, ReadRequest(number, 3 * DATA_BYTES, number))
    while not bed.idle:
        await ClockCycles(dut.clk, 10)
    assert {s for statuses in bed.statuses for s in statuses} == {TIMEOUT}
    bed.slave.deaf = False
    await ClockCycles(dut.clk, 300)
    assert not bed.slave.owed
    bed.slow = set()
    for queue in (*bed.bursts, *bed.slave.bursts.values()):
        queue.clear()
    for number in range(20):
        bed.ask(number % CLIENT_COUNT, any_request(12 * DATA_BYTES))
    await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def strays(dut):
    """Beats that nobody asked for are dropped."""
    bed = await bed_of(dut)
    assert bed.slave is not None
    ids = range(1 << (CLIENT_COUNT - 1).bit_length())
    for number in range(20):
        bed.slave.strays.extend(random.choices(ids, k=6))
        await ClockCycles(dut.clk, 12)
        bed.ask(number % CLIENT_COUNT, any_request())
        await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_traffic(dut):
    """After a reset in mid-traffic nothing is left."""
    bed = await bed_of(dut)
    assert bed.slave is not None
    for _ in range(10):
        for client in range(CLIENT_COUNT):
            bed.ask(client, any_request())
    await ClockCycles(dut.clk, 60)
    bed.slave.silent = set(range(16))
    await reset(dut, *bed.sources, *bed.responses, *bed.data)
    bed.slave.due.clear()
    bed.slave.bursts.clear()
    bed.forget(CLIENT_COUNT)
    for data in bed.data:
        data.packets = 0
    await ClockCycles(dut.clk, 3)
    bed.slave.silent = set()
    for client in range(CLIENT_COUNT):
        bed.ask(client, any_request())
    await bed.settle()
