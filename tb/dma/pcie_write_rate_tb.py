"""cocotb bench of hdl.dma.PcieWrite: cycles used / needed, and the way of a single write.

Environment: ``CLIENT_COUNT``, ``SEGMENT_COUNT``. Every TLP is checked by the model.

used is the span from the first to the last beat on ``o``; needed are the beats of the TLPs, each
counted from lane 0, or one a request where that is more. Aligned, that is a row's bytes a cycle.
"""

import os
import random

import cocotb

from sim.dma import Write

from ..stream.rate_tb import Figure, write_rows
from .write_bed import WriteBed

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
ROW_BYTES = 32 * SEGMENT_COUNT
ROWS = 300

#: Address modulo a page, length; the bound of used / needed. A page of 4 KB that begins in mid-row
#: takes a cycle more, as does a request whose packet and page end in the same row.
TRAFFICS = {
    "64 B": (0, 64, 1.0),
    "one row": (0, ROW_BYTES, 1.0),
    "one row from byte 3": (3, ROW_BYTES, 1.0),
    "256 B": (0, 256, 1.0),
    "512 B": (512, 512, 1.0),
    "4096 B": (0, 4096, 1.0),
    "16384 B": (0, 16384, 1.0),
    "256 B from byte 1": (1, 256, 1.0),
    "1514 B from byte 2": (2, 1514, 1.0),
    "4096 B from byte 68": (68, 4096, 1.04),
    "16384 B from byte 33": (33, 16384, 1.04),
}


async def measure(bed: WriteBed, traffic: str, clients: int) -> Figure:
    """Offer a traffic, each request from the next client."""
    offset, length, limit = TRAFFICS[traffic]
    bed.tlps.clear()
    bed.link.open()
    bed.link.restart()
    count = max(4, ROWS * ROW_BYTES // max(length, ROW_BYTES))
    for number in range(count):
        client = number % clients
        address = client << 30 | (number + 1) << 16 | offset
        bed.write(client, Write(address, length, random.randbytes(length), tag=number & 255))
    await bed.finish()
    beats = sum(-(-tlp.length // (8 * SEGMENT_COUNT)) for tlp in bed.tlps)
    name = f"{traffic}, {clients} client{'s' * (clients > 1)}"
    ratio = bed.link.span / max(beats, count)
    return (name, "used/needed", round(ratio, 6), limit, "ratio")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic, at Max_Payload_Size 256."""
    bed = WriteBed(dut, client_count=CLIENT_COUNT, segment_count=SEGMENT_COUNT)
    await bed.start(max_payload=1)
    bed.link.open()
    bed.write(0, Write(0x1000, ROW_BYTES, random.randbytes(ROW_BYTES)))
    await bed.finish()
    latency = bed.link.first - bed.packets[0].first
    rows: list[Figure] = [("one row", "latency", latency, None, "cycles")]
    for traffic in TRAFFICS:
        for clients in (1, CLIENT_COUNT):
            rows.append(await measure(bed, traffic, clients))
    write_rows(rows)
