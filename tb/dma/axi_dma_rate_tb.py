"""cocotb bench of hdl.dma.AxiDma: cycles used / needed, reads and writes at once.

The memory takes and gives a beat in each cycle, LATENCY cycles after what it answers; everything is
checked by the model. Of reads, used is the longer of the spans from the first to the last beat of
RDATA and, with one client, of its data; of writes, that of WDATA. Needed are the most beats there.
Requests come when the engine has nothing to do, so that what it cannot keep up with counts.
"""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.dma import ReadRequest, Write
from tb.stream import start
from tb.stream.rate_tb import Figure, write_rows

from .axi_read_bed import AxiReadBed
from .axi_write_bed import AxiWriteBed

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
BURST_BYTES = int(os.environ["BURST_BYTES"])
LATENCY = 60
BEATS = 400
#: Bound for small writes of one client: it has 64 requests under way, which take longer than that.
FEW = 1.3

#: Address modulo a page, length; bounds of used / needed for reads and for writes. A write over
#: 4 KB from mid-row takes a cycle more.
TRAFFICS = {
    "one row": (0, DATA_BYTES, 1.0, 1.0),
    "1 B": (5, 1, 1.0, 1.0),
    "256 B": (0, 256, 1.0, 1.0),
    "512 B": (512, 512, 1.0, 1.0),
    "4096 B": (0, 4096, 1.0, 1.0),
    "16384 B": (0, 16384, 1.0, 1.0),
    "256 B from byte 1": (1, 256, 1.0, 1.0),
    "1514 B from byte 2": (2, 1514, 1.0, 1.0),
    "4096 B from byte 68": (68, 4096, 1.0, 1.04),
}


async def measure(
    reads: AxiReadBed, writes: AxiWriteBed, traffic: str, clients: int
) -> list[Figure]:
    """Run a traffic, each request for the next client."""
    offset, length, read_limit, write_limit = TRAFFICS[traffic]
    if clients == 1 and length <= DATA_BYTES:
        write_limit = FEW
    read_slave, write_slave = reads.slave, writes.slave
    assert read_slave is not None
    assert write_slave is not None
    for slave in (read_slave, write_slave):
        slave.first_beat, slave.beats = -1, 0
    for sink in reads.data:
        sink.restart()
    writes.forget()
    per_request = -(-(offset % DATA_BYTES + length) // DATA_BYTES)
    for number in range(max(12, BEATS // per_request)):
        client = number % clients
        page = random.getrandbits(30) << 16
        reads.ask(client, ReadRequest(page + offset, length, number & 255))
        page = number << 16
        writes.write(client, Write(page + offset, length, random.randbytes(length)))
    edge = RisingEdge(reads.dut.clk)
    while not (reads.idle and writes.idle):
        await edge
    await reads.settle()
    await writes.settle()
    spans = [(read_slave.last_beat - read_slave.first_beat + 1, read_slave.beats)]
    if clients == 1:
        spans.append((reads.data[0].span, reads.data[0].accepted))
    used, needed = (max(figures) for figures in zip(*spans, strict=True))
    write_used = write_slave.last_beat - write_slave.first_beat + 1
    name = f"{traffic}, {clients} client{'s' * (clients > 1)}"
    return [
        (f"read {name}", "used/needed", round(used / needed, 6), read_limit, "ratio"),
        (
            f"write {name}",
            "used/needed",
            round(write_used / write_slave.beats, 6),
            write_limit,
            "ratio",
        ),
    ]


async def latencies(reads: AxiReadBed, writes: AxiWriteBed) -> list[Figure]:
    """Read and write one row alone: from the memory to the client, and the other way."""
    reads.ask(0, ReadRequest(0, DATA_BYTES, 0))
    writes.write(0, Write(0, DATA_BYTES, bytes(DATA_BYTES)))
    await reads.settle()
    await writes.settle()
    assert reads.slave is not None
    assert writes.slave is not None
    figures = {
        "RDATA to data": reads.data[0].first - reads.slave.first_beat,
        "data to WDATA": writes.slave.first_beat - writes.packets[0].last,
    }
    return [("one row alone", name, value, None, "cycles") for name, value in figures.items()]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one beat a cycle is required by the row's limit, not here."""
    sizes: dict[str, Any] = {
        "client_count": CLIENT_COUNT,
        "data_bytes": DATA_BYTES,
        "latency": LATENCY,
    }
    reads = AxiReadBed(dut, burst_bytes=BURST_BYTES, **sizes)
    writes = AxiWriteBed(dut, **sizes)
    dut.timeout.value = 9999
    await start(dut)
    rows = await latencies(reads, writes)
    for traffic in TRAFFICS:
        for clients in (1, CLIENT_COUNT):
            rows.extend(await measure(reads, writes, traffic, clients))
    write_rows(rows)
