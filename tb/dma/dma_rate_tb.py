"""cocotb bench of hdl.dma.Dma: bytes a cycle, requests a cycle, and reads far away.

used are the cycles of the middle 80 % of the beats, at all clients for reads and at the port for
writes; needed are the beats that the requests' bytes fill, one at least for each request.
"""

import os
from typing import Any

import cocotb
from cocotb.triggers import Combine, RisingEdge

from ..stream import start
from ..stream.rate_tb import Figure, write_rows
from .memory_clients import OK, MemoryReader, MemoryWriter
from .rate_host import MEMORY, RateHost

DATA_BYTES = int(os.environ["DATA_BYTES"])
CLIENTS = int(os.environ["CLIENTS"])
SEGMENTS = DATA_BYTES // 32
#: 1 us there and back, in cycles of 2 ns; Gen5 x16 in bytes of such a cycle (32 GT/s, 128b/130b).
WAY, NS_PER_CYCLE = 250, 2.0
GEN5_X16 = 16 * 32 / 8 * 128 / 130 * NS_PER_CYCLE
MPS_256, MRRS_512 = 1, 2
#: Of each traffic, and how many of them go by before and after what is measured.
BEATS, BEGIN = 640, 64
ROWS: list[Figure] = []


class Bed:
    """Clients and host of an engine."""

    def __init__(self, dut: Any, **host: Any):
        self.dut = dut
        self.host = RateHost(dut, SEGMENTS, **host)
        clients = range(CLIENTS)
        self.readers = [MemoryReader(dut, f"reads__{n}", DATA_BYTES) for n in clients]
        self.writers = [MemoryWriter(dut, f"writes__{n}", DATA_BYTES) for n in clients]
        dut.max_payload.value = MPS_256
        dut.max_request.value = MRRS_512
        dut.requester.value = 0x0100
        dut.timeout.value = 100_000

    async def start(self) -> None:
        """Reset; the link comes up."""
        await start(self.dut)
        self.host.port.link()
        for _ in range(4 * self.host.way + 1000):
            await RisingEdge(self.dut.clk)

    async def read(self, client: int, address: int, length: int) -> None:
        """Read and compare."""
        data, status = await self.readers[client].read(address, length)
        at = address % len(MEMORY)
        assert status == OK
        assert data == (MEMORY + MEMORY)[at : at + length]

    async def write(self, client: int, address: int, length: int) -> None:
        """Write."""
        assert await self.writers[client].write(address, MEMORY[:length]) == OK

    async def run(
        self, job: Any, count: int, length: int, *, offset: int = 0, clients: int = CLIENTS
    ) -> None:
        """Give ``count`` requests, each for the next client, of consecutive blocks."""
        step = -(-(length + offset) // 4096) * 4096 if length > 4096 else length + offset
        step = 1 << (step - 1).bit_length()
        jobs = [
            cocotb.start_soon(job(number % clients, (1 << 33) + number * step + offset, length))
            for number in range(count)
        ]
        await Combine(*jobs)


class Meter:
    """How much had come by the end of each cycle."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.read_beats: list[int] = []
        self.sent_segments: list[int] = []
        self._task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.bed.dut.clk)
        sink = self.bed.host.port.sink
        while True:
            await edge
            self.read_beats.append(sum(reader.data.accepted for reader in self.bed.readers))
            self.sent_segments.append(sink.segments)

    async def stop(self) -> None:
        """Wait until all has come."""
        for _ in range(200):
            await RisingEdge(self.bed.dut.clk)
        self._task.cancel()


def cycles(counts: list[int], first: int, last: int) -> int:
    """Cycles from when ``first`` had come until ``last`` had."""
    begin = next(cycle for cycle, count in enumerate(counts) if count - counts[0] >= first)
    end = next(cycle for cycle, count in enumerate(counts) if count - counts[0] >= last)
    return end - begin


async def reads(
    bed: Bed, title: str, length: int, limit: float | None, **options: int
) -> list[Figure]:
    """Measure reads, where they come out."""
    bed.host.split = options.pop("split", 256)
    beats = -(-length // DATA_BYTES)
    count = BEATS // beats
    meter = Meter(bed)
    await bed.run(bed.read, count, length, **options)
    await meter.stop()
    first, last = (end // beats * beats for end in (BEGIN, BEATS - BEGIN))
    used = cycles(meter.read_beats, first, last)
    return rows_of(title, used, last - first, length / beats, limit)


async def writes(
    bed: Bed, title: str, length: int, limit: float | None, **options: int
) -> list[Figure]:
    """Measure writes, where they leave; a request a cycle is all there is of small ones."""
    beats = -(-length // DATA_BYTES)
    count = BEATS // beats
    meter = Meter(bed)
    await bed.run(bed.write, count, length, **options)
    await meter.stop()
    all_segments = meter.sent_segments[-1] - meter.sent_segments[0]
    first, last = (all_segments * end // BEATS for end in (BEGIN, BEATS - BEGIN))
    used = cycles(meter.sent_segments, first, last)
    needed = count * beats * (BEATS - 2 * BEGIN) / BEATS
    return rows_of(title, used, needed, length / beats, limit)


def rows_of(
    title: str, used: int, needed: float, bytes_per_beat: float, limit: float | None
) -> list[Figure]:
    """Cycles used for the beats needed, and bytes a cycle, as rows."""
    rate = round(bytes_per_beat * needed / used, 3)
    return [
        (title, "used/needed", round(used / needed, 6), limit, "ratio"),
        (title, "payload", rate, None, "B/cycle"),
    ]


async def both(bed: Bed, title: str, length: int, limit: float) -> list[Figure]:
    """Measure as many bytes each way at once; reads' headers share the way with writes.

    In the middle, where both are under way.
    """
    bed.host.split = 256
    count = 3 * BEATS * DATA_BYTES // length
    meter = Meter(bed)
    await Combine(
        *(cocotb.start_soon(bed.run(job, count, length)) for job in (bed.read, bed.write))
    )
    await meter.stop()
    first, last = BEATS, 2 * BEATS
    came = meter.read_beats[last] - meter.read_beats[first]
    went = (meter.sent_segments[last] - meter.sent_segments[first]) / SEGMENTS
    return [
        (f"{title}: {name}", "used/needed", round(BEATS / beats, 6), limit, "ratio")
        for name, beats in (("reads", came), ("writes and headers of reads", went))
    ]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate(dut):
    """Measure; the limits are required by the rows, not here."""
    bed = Bed(dut)
    await bed.start()
    rows = ROWS
    for length in (256, 512, 1024, 4096):
        rows += await reads(bed, f"reads of {length} B", length, 1.0)
        rows += await writes(bed, f"writes of {length} B", length, 1.0)
    # 126 bytes a cycle of 128.
    for length in (256, 512, 4096):
        title = f"reads of {length} B, completions of 64 B"
        rows += await reads(bed, title, length, round(128 / 126, 6), split=64)
    for clients in (1, CLIENTS):
        name = f"{clients} client{'s' * (clients > 1)}"
        for length in (1, 64):
            rows += await reads(bed, f"reads of {length} B, {name}", length, 1.0, clients=clients)
            rows += await writes(bed, f"writes of {length} B, {name}", length, 1.0, clients=clients)
    rows += await reads(bed, "reads of 4096 B from byte 13", 4096, None, offset=13)
    rows += await writes(bed, "writes of 4096 B from byte 13", 4096, None, offset=13)
    rows += await both(bed, "4096 B both ways", 4096, 1.01)
    write_rows(rows)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def far_away(dut):
    """Read over Gen5 x16 with 1 us there and back, MPS 256 and MRRS 512; bytes of the middle."""
    bed = Bed(dut, way=WAY, bytes_per_cycle=GEN5_X16)
    await bed.start()
    ports = [reader.data for reader in bed.readers]
    jobs = cocotb.start_soon(bed.run(bed.read, 160, 4096, offset=0, clients=CLIENTS))
    begun = 4 * WAY
    for _ in range(begun):
        await RisingEdge(dut.clk)
    counts = [sum(port.accepted for port in ports)]
    cycles = 3000
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    counts.append(sum(port.accepted for port in ports))
    assert not jobs.done(), "too few reads"
    await jobs
    rate = (counts[1] - counts[0]) * DATA_BYTES / (cycles * NS_PER_CYCLE)
    title = "reads of 4096 B over Gen5 x16, 1 us round trip, MPS 256, MRRS 512"
    ROWS.append((title, "payload", round(rate, 2), 57.0, "GB/s", True))
    write_rows(ROWS)
