"""cocotb testbench of hdl.dma.Dma below hdl.pcie.Switch: a root complex, and another endpoint.

Both are cocotbext-pcie's. The other endpoint stands for a GPU with memory of its own.
"""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import Combine, Event, First, Timer

from ..pcie.endpoint import SmallEndpoint, make_device, make_root, make_root_port
from ..pcie.link import RtlLink
from ..stream import start
from .host import CardFunction, shuffle_completions
from .memory_clients import OK, MemoryReader, MemoryWriter

SEGMENTS = int(os.environ["SEGMENTS"])
CLIENTS = int(os.environ["CLIENTS"])
#: BAR of the GPU that is memory, 1 MB, prefetchable.
MEMORY_BAR = 1


class Bed:
    """Host, switch with the engine, GPU."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.root: Any = make_root()
        self.root.split_on_all_rcb = True
        shuffle_completions(self.root, pause_ns=40)
        self.up, self.down = (RtlLink(dut, f"ports__{n}", SEGMENTS) for n in range(2))
        make_root_port(self.root).connect(self.up)
        self.gpu: Any = SmallEndpoint(0x6000)
        self.down.connect(make_device(self.gpu))
        self.card = CardFunction(dut, SEGMENTS)
        data_bytes = 32 * SEGMENTS
        self.readers = [MemoryReader(dut, f"reads__{n}", data_bytes) for n in range(CLIENTS)]
        self.writers = [MemoryWriter(dut, f"writes__{n}", data_bytes) for n in range(CLIENTS)]
        dut.timeout.value = 100_000
        region = self.root.mem_pool.alloc_region(1 << 20)
        self.host_memory = region.mem
        self.host_base = region.get_absolute_address(0)
        self.gpu_memory = self.gpu.regions[MEMORY_BAR]
        self.gpu_base = 0

    async def start(self) -> None:
        """Reset, enumerate, enable."""
        await start(self.dut)
        await Timer(500, "ns")
        await self.root.enumerate(timeout=20_000)
        for function in (self.gpu, self.card.endpoint):
            found = self.root.find_device(function.pcie_id)
            await found.enable_device()
            await found.set_master()
        self.gpu_base = self.root.find_device(self.gpu.pcie_id).bar_addr[MEMORY_BAR]

    async def read(self, client: int, memory: Any, base: int, place: int, length: int) -> None:
        """Fill a place, read it, compare."""
        data = random.randbytes(length)
        memory[place : place + length] = data
        assert await self.readers[client].read(base + place, length) == (data, OK)

    async def write(self, client: int, memory: Any, base: int, place: int, length: int) -> None:
        """Write a place, flush, compare."""
        data = random.randbytes(length)
        assert await self.writers[client].write(base + place, data) == OK
        assert await self.readers[client].read(base + place, 0) == (b"", OK)
        assert memory[place : place + length] == data

    async def finish(self) -> None:
        """Wait for the last credits; all must be home."""
        await Timer(500, "ns")
        assert self.up.is_whole
        assert self.down.is_whole


async def attach(dut: Any) -> Bed:
    """Make all, and enumerate."""
    bed = Bed(dut)
    await bed.start()
    return bed


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def both_memories_both_ways_at_once(dut):
    """Read and write the host's and the GPU's memory, while the GPU uses the host's."""
    bed = await attach(dut)
    jobs = []
    step = 1 << 14
    for number in range(16):
        place = number * step
        for index, (memory, base) in enumerate(
            ((bed.host_memory, bed.host_base), (bed.gpu_memory, bed.gpu_base))
        ):
            client = (number + index) % CLIENTS
            for half, job in enumerate((bed.read, bed.write)):
                at = place + half * (step // 2) + random.randrange(64)
                length = random.choice([1, 64, random.randint(1, 5000)])
                jobs.append(cocotb.start_soon(job(client, memory, base, at, length)))

    async def gpu_uses_the_host() -> None:
        place = 1 << 19
        for _ in range(8):
            data = random.randbytes(random.randint(1, 2000))
            await bed.gpu.mem_write(bed.host_base + place, data)
            assert await bed.gpu.mem_read(bed.host_base + place, len(data)) == data
            place += 4096

    before = len(bed.up.arrived)
    await Combine(*jobs, cocotb.start_soon(gpu_uses_the_host()))
    window = range(bed.gpu_base, bed.gpu_base + len(bed.gpu_memory))
    strayed = [tlp for tlp in bed.up.arrived[before:] if tlp.address in window]
    assert not strayed, "what was for the GPU went by way of the host"
    await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_entry_can_be_early(dut):
    """Show the race: the entry is in host memory, its data not yet with the GPU.

    A write has its response when the link has it, wherever it is held up behind that.
    """
    bed = await attach(dut)
    bed.down.is_held = True
    data = random.randbytes(512)
    assert await bed.writers[0].write(bed.gpu_base, data) == OK
    assert await bed.writers[0].write(bed.host_base, b"done") == OK
    await Timer(2, "us")
    assert bed.host_memory[:4] == b"done"
    assert bed.gpu_memory[:512] != data
    bed.down.is_held = False
    await Timer(2, "us")
    assert bed.gpu_memory[:512] == data
    await bed.finish()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_flush_keeps_the_order(dut):
    """Read 0 bytes from the data's place before the entry: who sees the entry has the data."""
    bed = await attach(dut)
    rounds = 40
    written = Event()

    async def hold_up() -> None:
        while True:
            bed.down.is_held = random.random() < 0.7
            await Timer(random.randint(10, 800), "ns")

    async def card() -> None:
        writer, reader = bed.writers[0], bed.readers[CLIENTS - 1]
        for number in range(rounds):
            place = bed.gpu_base + 8192 * number + random.randrange(64)
            contents = bytes([number + 1]) * random.randint(1, 3000)
            assert await writer.write(place, contents) == OK
            assert await reader.read(place + len(contents) - 1, 0) == (b"", OK)
            expected.append((place - bed.gpu_base, contents))
            assert await writer.write(bed.host_base + number, bytes([number + 1])) == OK
            written.set()

    expected: list[tuple[int, bytes]] = []
    held_up = cocotb.start_soon(hold_up())
    busy = cocotb.start_soon(card())
    for number in range(rounds):
        while bed.host_memory[number] != number + 1:
            written.clear()
            await First(written.wait(), Timer(100, "ns"))
        place, contents = expected[number]
        assert bed.gpu_memory[place : place + len(contents)] == contents, "an entry was early"
    await busy
    held_up.cancel()
    bed.down.is_held = False
    await bed.finish()
