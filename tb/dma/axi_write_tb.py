"""cocotb tests of hdl.dma.AxiWrite."""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from sim.dma import Write
from sim.stream import Packet
from tb.stream import chance, reset, start

from .axi_write_bed import TIMEOUT, AxiWriteBed, random_write

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
SLOW = 5000  # cycles that no test's memory takes
OK, UNSUPPORTED, ABORT, LENGTH, CANCELLED = 0, 1, 2, 6, 7


async def bed_of(dut: Any, *, timeout: int = SLOW, **options: Any) -> AxiWriteBed:
    """Make a bed, and start."""
    bed = AxiWriteBed(dut, client_count=CLIENT_COUNT, data_bytes=DATA_BYTES, **options)
    dut.timeout.value = timeout
    await start(dut)
    return bed


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def every_offset_and_length(dut):
    """Write from each place in a row each length to three rows, before and over 4 KB."""
    bed = await bed_of(dut)
    step = 1 if DATA_BYTES <= 32 else 13
    number = 0
    for offset in [*range(0, DATA_BYTES, step), DATA_BYTES - 1]:
        for length in [*range(0, 3 * DATA_BYTES, step), 3 * DATA_BYTES]:
            base = random.choice([0x1000, 0x2000 - 2 * DATA_BYTES, 0x2000 - DATA_BYTES])
            address = number << 16 | base + offset
            write = Write(address, length, random.randbytes(length), tag=number & 255)
            bed.write(number % CLIENT_COUNT, write)
            number += 1
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def pages(dut):
    """Write over pages, and over the middle of pages, from every alignment class; 65535 bytes."""
    bed = await bed_of(dut)
    number = 0
    for begin in (0, 1, DATA_BYTES - 1, 2047, 2048, 4095):
        for length in (2047, 2049, 4096, 4097, 6000):
            address = number << 16 | begin
            bed.write(number % CLIENT_COUNT, Write(address, length, random.randbytes(length)))
            number += 1
    for client, address in enumerate(((1 << 64) - 65535, (1 << 32) - 4097)):
        bed.write(client, Write(address, 65535, random.randbytes(65535), tag=3))
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(client_pause=[0.0, 0.6], slave_pause=[0.0, 0.5])
async def random_writes(dut, client_pause, slave_pause):
    """Mix writes of all clients with bad packets and failures of the memory, whatever pauses."""
    faults: dict[int, int] = {}

    def resp(address: int) -> int:
        return faults.setdefault(address, random.choice([0] * 8 + [1, 2, 3]))

    bed = await bed_of(
        dut, resp=resp, client_pause=chance(client_pause), slave_pause=chance(slave_pause)
    )
    for _ in range(40):
        for client in range(CLIENT_COUNT):
            bed.write(client, random_write(client, most_bytes=30 * DATA_BYTES, bad=0.3))
    await bed.settle()
    statuses = {status for of in bed.statuses for status in of}
    assert statuses == {OK, UNSUPPORTED, ABORT, LENGTH, CANCELLED}


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def others_memory(dut):
    """Write into the memory of cocotbext-axi."""
    ram: Any = AxiRamWrite(AxiWriteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=1 << 17)
    bed = await bed_of(dut, slave=False)
    address = 5
    for number in range(60):
        length = random.randint(0, 2000)
        write = Write(address, length, random.randbytes(length), tag=number)
        bed.write(number % CLIENT_COUNT, write)
        address += length + random.randint(0, 9)
    await bed.settle()
    written = ram.read(0, 1 << 17)
    assert {n: byte for n, byte in enumerate(written) if byte} == {
        n: byte for n, byte in bed.content.items() if byte
    }


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_client_that_stops(dut):
    """Let a client stop in mid-packet, and one take no responses: the others go on."""
    bed = await bed_of(dut)
    stopped, mute = 0, 1
    packet = random.randbytes(9000)
    bed.request(stopped, Write(0, 9000, packet))
    bed.packets[stopped].send(Packet(packet))
    end = bed.packets[stopped].values.pop()
    bed.responses[mute].pause = lambda: True
    for number in range(70):
        bed.write(mute, Write(1 << 32 | number << 16, 3, b"abc"))
    rest = range(2, CLIENT_COUNT)
    for number in range(80):
        bed.write(rest[number % len(rest)], random_write(7, most_bytes=300))
    while any(bed.open[client] for client in rest):
        await ClockCycles(dut.clk, 10)
    assert bed.open[stopped]
    assert len(bed.open[mute]) == 70
    bed.packets[stopped].send_value(end)
    bed.responses[mute].pause = lambda: False
    await bed.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(slave_pause=[0.0, 0.5])
async def silence(dut, slave_pause):
    """Let the memory say nothing to a client: TIMEOUT; all is well when it has said all."""
    timeout = 2000 if slave_pause else 400  # longer than a burst takes
    bed = await bed_of(dut, timeout=timeout, slave_pause=chance(slave_pause))
    slave = bed.slave
    assert slave is not None
    for round_number in range(5):
        bed.slow = {0}
        for number in range(12):
            for client in range(CLIENT_COUNT):
                most = 9000 if number == round_number else 12 * DATA_BYTES
                bed.write(client, random_write(client, most_bytes=most))
            if number == round_number * 2:
                slave.silent = {0}
        bed.write(0, Write(3, 5, b"after"))
        while not bed.idle:
            await ClockCycles(dut.clk, 10)
        assert bed.statuses[0][-1] == TIMEOUT
        assert all(status == OK for of in bed.statuses[1:] for status in of)
        await ClockCycles(dut.clk, 50)
        before = len(slave.bursts[0])
        bed.write(0, Write(5000, 6000, random.randbytes(6000)))  # is not sent
        bed.write(0, Write(5000, 0, b""))
        while not bed.idle:
            await ClockCycles(dut.clk, 10)
        assert len(slave.bursts[0]) == before
        assert bed.statuses[0][-2:] == [TIMEOUT, TIMEOUT]

        # What is owed comes, while more is asked for, which must not take it for its own.
        slave.silent = set()
        for _ in range(30):
            bed.write(0, random_write(0, most_bytes=5000))
        while not bed.idle or slave.owed:
            await ClockCycles(dut.clk, 10)
        await ClockCycles(dut.clk, 20)
        assert slave.content.keys() <= bed.content.keys()
        bed.slow = set()
        bed.forget()
        for _ in range(5):
            bed.write(0, random_write(0, most_bytes=12 * DATA_BYTES))
        await bed.settle()
        assert bed.statuses[0] == [OK] * 5
        bed.forget()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def at_the_last_moment(dut):
    """Let answers come just when they are given up: no request waits for ever, or takes others'."""
    bed = await bed_of(dut, timeout=20)
    assert bed.slave is not None
    bed.slow = {0}
    for latency in range(18, 60):
        bed.slave.latency = latency
        for number in range(6):
            bed.write(0, random_write(0, most_bytes=3 * DATA_BYTES))
            if number & 1:
                await ClockCycles(dut.clk, random.randrange(20))
        while not bed.idle:
            await ClockCycles(dut.clk, 5)
    await ClockCycles(dut.clk, 200)
    assert TIMEOUT in bed.statuses[0]
    bed.slave.latency = 1
    bed.slow = set()
    bed.forget()
    for client in range(CLIENT_COUNT):
        bed.write(client, random_write(client, most_bytes=300))
    await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def deaf(dut):
    """Let the memory take nothing: nobody gets OK; then all goes on."""
    bed = await bed_of(dut, timeout=100)
    assert bed.slave is not None
    bed.slave.deaf = True
    bed.slow = set(range(CLIENT_COUNT))
    for number in range(20 * CLIENT_COUNT):
        write = Write(number << 12 | number, 70, random.randbytes(70))
        bed.write(number % CLIENT_COUNT, write)
    while not bed.idle:
        await ClockCycles(dut.clk, 10)
    assert {s for statuses in bed.statuses for s in statuses} == {TIMEOUT}
    bed.slave.deaf = False
    await ClockCycles(dut.clk, 300)
    assert not bed.slave.words
    assert not bed.slave.addresses
    assert bed.slave.content
    assert bed.slave.content.items() <= bed.content.items()
    bed.slow = set()
    bed.forget()
    for client in range(CLIENT_COUNT):
        bed.write(client, random_write(client, most_bytes=3000))
    await bed.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def strays(dut):
    """Answers that nobody waits for are dropped, also when there are more than places for them."""
    bed = await bed_of(dut)
    assert bed.slave is not None
    ids = range(1 << (CLIENT_COUNT - 1).bit_length())
    for number in range(20):
        bed.slave.strays.extend(random.choices(ids, k=6))
        await ClockCycles(dut.clk, 12)
        bed.write(number % CLIENT_COUNT, random_write(9, most_bytes=300))
        while not bed.idle:
            await ClockCycles(dut.clk, 1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_traffic(dut):
    """After a reset in mid-traffic nothing is left."""
    bed = await bed_of(dut)
    assert bed.slave is not None
    for _ in range(10):
        for client in range(CLIENT_COUNT):
            bed.write(client, random_write(client, most_bytes=3000))
    await ClockCycles(dut.clk, 100)
    bed.slave.silent = set(range(16))
    await reset(dut, *bed.requests, *bed.packets, *bed.responses)
    slave = bed.slave
    for queue in (slave.due, slave.addresses, slave.words):
        queue.clear()
    slave.beat = 0
    slave.silent = set()
    await ClockCycles(dut.clk, 3)
    bed.forget()
    for client in range(CLIENT_COUNT):
        bed.write(client, random_write(client, most_bytes=3000))
    await bed.settle()
