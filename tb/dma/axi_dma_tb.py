"""cocotb tests of hdl.dma.AxiDma."""

import os
import random
from itertools import cycle
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiRam

from sim.dma import ReadRequest, Write
from tb.stream import chance, start

from .axi_read_bed import AxiReadBed, pattern
from .axi_write_bed import TIMEOUT, AxiWriteBed, random_write

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
BURST_BYTES = int(os.environ["BURST_BYTES"])


def beds(dut: Any, **options: Any) -> tuple[AxiReadBed, AxiWriteBed]:
    """Make the beds of both directions."""
    sizes = {"client_count": CLIENT_COUNT, "data_bytes": DATA_BYTES, **options}
    return AxiReadBed(dut, burst_bytes=BURST_BYTES, **sizes), AxiWriteBed(dut, **sizes)


def stalls(probability: float) -> Any:
    """Pauses of a channel of cocotbext-axi."""
    return cycle(random.choices([True, False], [probability, 1 - probability], k=997))


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def what_was_written_is_read(dut, stall):
    """Read back from the memory of cocotbext-axi, by any client, what was answered with OK."""
    ram: Any = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=1 << 16)
    if stall:
        for channel in (
            ram.write_if.aw_channel,
            ram.write_if.w_channel,
            ram.write_if.b_channel,
            ram.read_if.ar_channel,
            ram.read_if.r_channel,
        ):
            channel.set_pause_generator(stalls(stall))
    reads, writes = beds(dut, slave=False)
    dut.timeout.value = 9999
    await start(dut)
    for _ in range(10):
        spans = []
        address = random.randrange(100)
        for number in range(8):
            length = random.randint(1, 1500)
            write = Write(address, length, pattern(address, length), tag=number)
            writes.write(number % CLIENT_COUNT, write)
            spans.append((address, length))
            address += length + random.randint(0, 100)
        await writes.settle()
        for number, (address, length) in enumerate(spans):
            reads.ask((number + 1) % CLIENT_COUNT, ReadRequest(address, length, number))
        await reads.settle()
        ram.write(0, bytes(1 << 14))


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4])
async def both_at_once(dut, pause):
    """Read and write at random, at once."""
    reads, writes = beds(dut, client_pause=chance(pause), slave_pause=chance(pause))
    dut.timeout.value = 9999
    await start(dut)
    for _ in range(30):
        for client in range(CLIENT_COUNT):
            address = random.getrandbits(40)
            reads.ask(client, ReadRequest(address, random.randint(0, 3000), client))
            writes.write(client, random_write(client, most_bytes=3000, bad=0.2))
    await reads.settle()
    await writes.settle()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def directions_are_apart(dut):
    """Let the memory stop answering writes of a client: its reads go on, and the other way."""
    reads, writes = beds(dut)
    dut.timeout.value = 300
    await start(dut)
    assert reads.slave is not None
    assert writes.slave is not None
    for read_is_silent in (True, False):
        reads.slow, writes.slow = ({0}, set()) if read_is_silent else (set(), {0})
        reads.slave.silent, writes.slave.silent = set(reads.slow), set(writes.slow)
        for number in range(5):
            for client in range(CLIENT_COUNT):
                reads.ask(client, ReadRequest(number * 5000, 900, number))
                writes.write(client, Write(client << 32 | number, 900, bytes(900)))
        while not reads.idle or not writes.idle:
            await ClockCycles(dut.clk, 10)
        silent = reads if read_is_silent else writes
        assert set(silent.statuses[0]) == {TIMEOUT}
        reads.slave.silent, writes.slave.silent = set(), set()
        await ClockCycles(dut.clk, 500)
        reads.slave.bursts.clear()
        for bursts in reads.bursts:
            bursts.clear()
        writes.forget()
