"""cocotb bench of hdl.dma.ReadRequester: cycles used for each read that is sent.

Every header is taken, and every read ends within a few cycles of being issued, so that what is
measured is the requester alone. Requests are offered in every cycle. Each read is compared with the
model's, as in the tests.
"""

import os
import random
from collections.abc import Callable

import cocotb

from sim.dma import ReadRequest
from tb.stream.rate_tb import Figure, write_rows

from .read_requester_bed import RequesterBed

SIZES = {
    name: int(os.environ[name.upper()])
    for name in ("client_count", "segment_count", "tag_count", "slot_bytes", "reserve")
}
CLIENTS, SLOT_BYTES = SIZES["client_count"], SIZES["slot_bytes"]
READS = 1200


def anywhere() -> int:
    """Address of a page."""
    return 4096 * random.getrandbits(40)


async def measure(bed: RequesterBed, active: int, make: Callable[[], ReadRequest]) -> float:
    """Let ``active`` clients ask for what ``make`` makes; return cycles for each read."""
    bed.forget_figures()
    sent = 0
    while sent < READS:
        for client in range(active):
            sent += bed.send(client, make())
    await bed.finish()
    assert bed.headers == sent
    return round((bed.last_header - bed.first_header + 1) / sent, 6)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def rate(dut):
    """Measure requests of one read and of many, of one client and of all, at each limit."""
    bed = await RequesterBed(dut, **SIZES).begin()
    bed.end_chance, bed.in_order = 1.0, True
    bed.send(0, ReadRequest(0x1000, 64))
    await bed.finish()
    latency = bed.first_header - bed.first_request
    rows: list[Figure] = [("one read alone", "latency", latency, 4, "cycles")]
    for code in range(6):
        block = min(128 << code, SLOT_BYTES)
        await bed.set_max_request(code)
        traffics: dict[str, Callable[[], ReadRequest]] = {
            "flush": lambda: ReadRequest(anywhere(), 0),
            "64 B": lambda: ReadRequest(anywhere() + 64, 64),
            "one block": lambda block=block: ReadRequest(anywhere(), block),
            "one block, 1 byte beside": lambda block=block: ReadRequest(anywhere() + 1, block),
            "60 KiB": lambda: ReadRequest(anywhere(), 60 << 10),
            "any": lambda: ReadRequest(random.getrandbits(50), random.randint(1, 20000)),
        }
        for active in sorted({1, CLIENTS}):
            for name, make in traffics.items():
                traffic = f"{name}, MRRS {128 << code}, clients: {active}"
                used = await measure(bed, active, make)
                rows.append((traffic, "used/needed", used, 1.0, "ratio"))
    write_rows(rows)
