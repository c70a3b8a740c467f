"""cocotb testbench of hdl.dma.Dma: cocotbext-pcie's root complex at its port.

Boundaries, and every two values together, are the matter of host_copies_tb.
"""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import Combine, Timer

from ..pcie.endpoint import make_root, make_root_port
from ..pcie.link import RtlLink
from ..stream import chance, start
from .host import CardFunction, shuffle_completions
from .memory_clients import OK, MemoryReader, MemoryWriter

DATA_BYTES = int(os.environ["DATA_BYTES"])
CLIENTS = int(os.environ["CLIENTS"])
SEGMENTS = max(1, DATA_BYTES // 32)
LARGEST = int(os.environ["MAX_PAYLOAD_BYTES"])
UNSUPPORTED, ABORT = 1, 2
GUARD = 64
SIZES = [128 << code for code in range(6) if 128 << code <= LARGEST]


def code_of(size: int) -> int:
    """Size as in Device Control."""
    return size.bit_length() - 8


class Bed:
    """Host, link and clients of one engine."""

    def __init__(self, dut: Any, *, stall: float = 0.0, timeout: int = 100_000):
        self.dut = dut
        self.root: Any = make_root()
        self.root.split_on_all_rcb = True
        shuffle_completions(self.root, pause_ns=40)
        self.link = RtlLink(dut, "port", SEGMENTS)
        make_root_port(self.root).connect(self.link)
        self.card = CardFunction(dut, SEGMENTS)
        pause = chance(stall)
        clients = range(CLIENTS)
        self.readers = [MemoryReader(dut, f"reads__{n}", DATA_BYTES, pause=pause) for n in clients]
        self.writers = [MemoryWriter(dut, f"writes__{n}", DATA_BYTES, pause=pause) for n in clients]
        dut.timeout.value = timeout
        self.region = self.root.mem_pool.alloc_region(1 << 24)
        self.base = self.region.get_absolute_address(0)
        self._next = 0

    async def start(self) -> None:
        """Reset, train, enumerate, enable."""
        await start(self.dut)
        await self.root.enumerate(timeout=20_000)
        found = self.root.find_device(self.card.endpoint.pcie_id)
        await found.enable_device()
        await found.set_master()

    def configure(self, payload_bytes: int, request_bytes: int) -> None:
        """Set both ends' sizes; nothing must be under way."""
        capability = self.card.endpoint.pcie_cap
        capability.max_payload_size = self.root.max_payload_size = code_of(payload_bytes)
        capability.max_read_request_size = code_of(request_bytes)
        self.card.show()

    def place(self, offset: int, length: int) -> int:
        """Choose a place in host memory nobody else uses, so far behind a page's begin."""
        pages = (offset + length + 2 * GUARD) // 4096 + 2
        if self._next + pages * 4096 > len(self.region.mem):
            self._next = 0
        place = self._next + 4096 + offset
        self._next += pages * 4096
        return place

    async def read(self, client: int, place: int, length: int) -> None:
        """Fill host memory, read it, compare."""
        data = random.randbytes(length)
        self.region.mem[place : place + length] = data
        got, status = await self.readers[client].read(self.base + place, length)
        assert status == OK, f"read of {length} from {place:#x}: status {status}"
        assert got == data, f"read of {length} from {place:#x}: other bytes"

    async def write(self, client: int, place: int, length: int) -> None:
        """Write, look at host memory and around."""
        data = random.randbytes(length)
        guard = random.randbytes(GUARD)
        memory = self.region.mem
        memory[place - GUARD : place] = guard
        memory[place + length : place + length + GUARD] = guard
        status = await self.writers[client].write(self.base + place, data)
        assert status == OK, f"write of {length} to {place:#x}: status {status}"
        # It has left; a flush comes back when it has arrived.
        _, status = await self.readers[client].read(self.base + place, 0)
        assert status == OK
        assert bytes(memory[place : place + length]) == data, f"write of {length} to {place:#x}"
        assert bytes(memory[place - GUARD : place]) == guard, "bytes before were written"
        assert bytes(memory[place + length :][:GUARD]) == guard, "bytes behind were written"

    async def transfer(self, cases: list[tuple[int, int]]) -> None:
        """Read and write all (offset in a page, length), shared out among the clients."""
        jobs = []
        for number, (offset, length) in enumerate(cases):
            for job in (self.read, self.write):
                place = self.place(offset, length)
                jobs.append(cocotb.start_soon(job(number % CLIENTS, place, length)))
                if len(jobs) == 64:
                    await Combine(*jobs)
                    jobs = []
        if jobs:
            await Combine(*jobs)

    async def finish(self) -> None:
        """Wait for the last credits; all must be home."""
        await Timer(500, "ns")
        assert self.link.is_whole, "credits are lost"


async def attach(dut: Any, **options: Any) -> Bed:
    """Make all, and enumerate."""
    bed = Bed(dut, **options)
    await bed.start()
    return bed


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.3])
async def anything_anywhere(dut, stall):
    """Read and write lengths to a few pages, at any place, at any sizes, all clients at once."""
    bed = await attach(dut, stall=stall)
    for _ in range(3):
        bed.configure(random.choice(SIZES), random.choice(SIZES))
        lengths = [0, 1, 2, 3, 5, 64, 500, 4096, random.randint(1, 12_000)]
        await bed.transfer([(random.randrange(4096), random.choice(lengths)) for _ in range(24)])
    await bed.finish()


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(
    # A hole in the host's memory gives Completer Abort, what is not its memory Unsupported Request.
    (("address", "expected"), [(0x7FFF_0000, ABORT), (0x10_0000_0000, UNSUPPORTED)]),
)
async def memory_that_is_not_there(dut, address, expected):
    """Read where nothing is: the status says so, for that one; others go on."""
    bed = await attach(dut)
    wrong = [cocotb.start_soon(bed.readers[0].read(address, 300)) for _ in range(4)]
    await bed.transfer([(random.randrange(4096), 1000) for _ in range(12)])
    for job in wrong:
        data, status = await job
        assert status == expected
        assert data == bytes(300)
    await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_host_reaches_the_card(dut):
    """Let the host use the card's BAR while the engine is busy."""
    bed = await attach(dut)
    found = bed.root.find_device(bed.card.endpoint.pcie_id)
    busy = cocotb.start_soon(bed.transfer([(n % 64, 3000) for n in range(24)]))
    for _ in range(10):
        data = random.randbytes(200)
        await found.bar_window[0].write(13, data)
        assert await found.bar_window[0].read(13, len(data)) == data
    await busy
    await bed.finish()
