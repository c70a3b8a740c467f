"""cocotb bench of hdl.dma.Msix: events a cycle, messages a cycle, latency."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from tb.stream.rate_tb import Figure, write_rows

from .msix_bed import MsixBed, entry_of

VECTORS = int(os.environ["VECTOR_COUNT"])
ROWS = -(-VECTORS // 32)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate(dut):
    """Measure events of all vectors in turn, at random, of one; latency alone and with all due."""
    bed = MsixBed(
        dut,
        VECTORS,
        int(os.environ["DATA_BYTES"]),
        int(os.environ["INTERVAL_BITS"]),
        int(os.environ["TICK_CYCLES"]),
    )
    await bed.begin()
    for vector in range(VECTORS):
        data = b"".join(word.to_bytes(4, "little") for word in entry_of(vector).words())
        for number, word in enumerate(entry_of(vector).words()):
            bed.model.write(vector, number, word)
        await bed.master.write(bed.address("table", vector), data)
    bed.model.settle(bed.cycle)
    bed.set(enable=1)
    rows: list[Figure] = []

    latencies = []
    for _ in range(100):
        await ClockCycles(dut.clk, random.randint(20, 40))
        before, cycle = len(bed.messages), bed.cycle
        bed.send(random.randrange(VECTORS))
        await ClockCycles(dut.clk, 30)
        ((_, _, begun),) = bed.messages[before:]
        # The driver offers the event a cycle after it was told, which the next edge sees.
        latencies.append(begun - cycle - 2)
    rows.append(("one event alone", "latency", max(latencies), 8, "cycles"))

    many = 8 * VECTORS
    for title, vectors, least in (
        ("all vectors in turn", list(range(VECTORS)) * 8, 0.99),
        ("vectors at random", [random.randrange(VECTORS) for _ in range(many)], None),
        ("one vector", [5] * many, None),
    ):
        before, waited = len(bed.messages), bed.not_ready
        bed.send(*vectors)
        await bed.idle(100)
        used = (many + bed.not_ready - waited) / many
        rows.append((title, "cycles per event", used, 1.0, "cycles"))
        sent = (len(bed.messages) - before) / many
        figure = (title, "messages per event", round(sent, 3))
        rows.append((*figure, None, "ratio") if least is None else (*figure, least, "ratio", True))

    bed.set(function_mask=1)
    bed.send(*range(VECTORS))
    await ClockCycles(dut.clk, VECTORS + 20)
    before, cycle = len(bed.messages), bed.cycle
    bed.set(function_mask=0)
    await bed.idle(20)
    assert len(bed.messages) == before + VECTORS
    took = (bed.messages[-1][2] - cycle) / VECTORS
    # Where visits alternate with those of the latest event, rows without anything take a cycle.
    limit = 1 + (2 * ROWS + 12) / VECTORS
    rows.append(
        ("all vectors unmasked at once", "cycles per message", round(took, 3), limit, "cycles")
    )
    await bed.finish()
    write_rows(rows)
