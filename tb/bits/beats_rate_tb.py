"""cocotb bench of a block that makes one value of each packet: cycles used / needed.

Environment: that of ``beats_tb`` without ``LATENCY``. Beats are offered in every cycle, packets
back to back. used is the span from the first beat to the last value, less the latency, which is a
row of its own; needed is the beats. Every value is compared with the model's.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles

from tb.stream.rate_tb import traffics

from .beats_tb import DATA_BYTES, MODEL, attach


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one beat a cycle is required by the row's limit, not here."""
    source, sink = await attach(dut)

    async def measure(lengths: list[int]) -> int:
        """Cycles from the first beat to the last value."""
        source.sent.clear()
        sink.received.clear()
        packets = [random.randbytes(length) for length in lengths]
        for packet in packets:
            source.send(packet)
        await source.drain()
        await ClockCycles(dut.clk, 64)
        assert [value for _, value in sink.received] == [MODEL(packet) for packet in packets]
        return sink.received[-1][0] - source.sent[0][0]

    latency = await measure([DATA_BYTES])
    rows: list[tuple[object, ...]] = [("one beat alone", "latency", latency, None, "cycles")]
    for traffic, lengths in traffics().items():
        used = await measure(lengths) - latency + 1
        rows.append((traffic, "used/needed", round(used / len(source.sent), 6), 1.0, "ratio"))
    keys = ("traffic", "metric", "value", "limit", "unit")
    about = {"block": os.environ["BLOCK"], "profile": os.environ["PROFILE"]}
    records = [{**about, **dict(zip(keys, row, strict=True))} for row in rows]
    Path(os.environ["BENCH_ROWS"]).write_text(json.dumps(records))
