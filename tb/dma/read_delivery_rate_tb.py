"""cocotb bench of hdl.dma.ReadDelivery: cycles used / rows read, on named traffic.

Tags end in the order in which they are issued, one a cycle or as many as can, and clients take a
beat in each cycle. used is the longer of two: the cycles from the first row that is read to the
last; and from there to the last beat, less the latency of a row. So what leaves late counts, too.
"""

import random

import cocotb

from tb.stream.rate_tb import Figure, write_rows

from .delivery_bed import DeliveryBed
from .read_delivery_tb import BEAT_LATENCY, CLIENT_COUNT, ROW_BYTES, bed_of

ROWS = 600  # of each traffic, at least

#: Requests of each traffic, in turns: offset in a row and length.
TRAFFICS: dict[str, list[tuple[int, int]]] = {
    "one row": [(0, ROW_BYTES)],
    "one byte": [(ROW_BYTES // 2, 1)],
    "one row and flushes": [(0, ROW_BYTES), (0, 0)],
    "two beats from the last row": [(1, 2 * ROW_BYTES - 1)],
    "two beats from the last row, then one row": [(1, 2 * ROW_BYTES - 1), (0, ROW_BYTES)],
    "two beats from the last row, then a flush": [(1, 2 * ROW_BYTES - 1), (0, 0)],
    "four aligned rows": [(0, 4 * ROW_BYTES)],
    "1514 B, any offset": [(offset, 1514) for offset in range(ROW_BYTES)],
    "4096 B, any offset": [(offset, 4096) for offset in range(0, ROW_BYTES, 7)],
}


def requests_of(traffic: str) -> list[tuple[int, int]]:
    """List requests of about ROWS rows; the last ones leave no beat behind."""
    if traffic == "random":
        kinds = [(random.randrange(ROW_BYTES), random.randint(0, 1600)) for _ in range(200)]
    else:
        kinds = TRAFFICS[traffic]
    requests: list[tuple[int, int]] = []
    rows = 0
    while rows < ROWS:
        offset, length = kinds[len(requests) % len(kinds)]
        requests.append((offset, length))
        rows += max(1, -(-(offset + length) // ROW_BYTES))
    return [*requests, *[(ROW_BYTES - 1, 2)] * CLIENT_COUNT]


async def measure(bed: DeliveryBed, traffic: str, clients: int) -> Figure:
    """Run a traffic, each request for the next client."""
    bed.reads.clear()
    rows = 0
    for number, (offset, length) in enumerate(requests_of(traffic)):
        address = random.randrange(1 << 40) * bed.slot_bytes + offset
        # A flush takes the place of a row.
        rows += max(1, bed.ask(number % clients, address, length))
    await bed.settle()
    assert len(bed.reads) == rows
    used = max(bed.reads[-1], bed.last_beat - BEAT_LATENCY) - bed.reads[0] + 1
    name = f"{traffic}, {clients} client{'s' * (clients > 1)}"
    return (name, "used/needed", round(used / rows, 6), 1.0, "ratio")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one row a cycle is required by the row's limit, not here."""
    bed = bed_of(dut)
    bed.shuffled = False
    await bed.begin()
    rows: list[Figure] = [
        ("one row", "latency", 5 + BEAT_LATENCY, None, "cycles"),
    ]
    for traffic in (*TRAFFICS, "random"):
        for clients in (1, CLIENT_COUNT):
            rows.append(await measure(bed, traffic, clients))
    write_rows(rows)
