"""cocotb bench of any block with packet streams: cycles used / needed on named traffic.

Environment: ``DATA_BYTES``; ``INPUTS`` and ``OUTPUTS``, the ports' names separated by commas, each
with ``/`` and its own beat bytes where they differ from ``DATA_BYTES``; ``CONSTANTS``, a JSON
object of other inputs' values; ``MIN_LENGTH``, below which the block's traffic does not go;
``STORE_AND_FORWARD``, if the block holds each packet until it is whole. Then each traffic begins
with its longest packet, since the first packet's delay, its own length, would otherwise count as
cycles used when a longer one follows; and no beat may be dropped.

used is the longer of the spans from first to last beat at any port, needed the most beats
at any port; so the latency, which is a row of its own, is not in the ratio. Traffic is offered in
every cycle, back to back, and taken in every cycle.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import Packet
from tb.bench import FRAME_LENGTHS

from . import PacketSink, PacketSource, start
from .stream_port import StreamPort

DATA_BYTES = int(os.environ["DATA_BYTES"])
MIN_LENGTH = int(os.environ.get("MIN_LENGTH", "1"))
STORE_AND_FORWARD = bool(os.environ.get("STORE_AND_FORWARD"))
#: Traffic, metric, value, limit, unit: what differs between the rows of a run.
#: Traffic, metric, value, limit, unit; and True where larger is better, if it is.
Figure = tuple[str, str, float, float | None, str] | tuple[str, str, float, float, str, bool]
BEATS = 400  # of the widest port, for each traffic, and 24 packets at least


def ports(variable: str) -> list[tuple[str, int]]:
    """Names and beat bytes that an environment variable lists."""
    names = [word.partition("/") for word in os.environ[variable].split(",")]
    return [(name, int(width or DATA_BYTES)) for name, _, width in names]


def traffics() -> dict[str, list[int]]:
    """Lengths of the packets of each named traffic."""
    named = {
        f"{length} B": [length] * max(24, BEATS * DATA_BYTES // length)
        for length in FRAME_LENGTHS
        if length >= MIN_LENGTH
    }
    mix = [random.choice(FRAME_LENGTHS[:-1]) for _ in range(100)]
    mix += [random.randint(60, 1514) for _ in range(100)]
    random.shuffle(mix)
    return {**named, "random mix": [max(length, MIN_LENGTH) for length in mix]}


async def settle(dut, sources, sinks) -> None:
    """Wait until nothing has left for longer than any block holds a packet."""
    quiet = 0
    while quiet < 400 + 9216 // DATA_BYTES:
        before = sum(sink.accepted for sink in sinks)
        await ClockCycles(dut.clk, 10)
        moved = sum(sink.accepted for sink in sinks) - before
        quiet = 0 if moved or not all(s.idle for s in sources) else quiet + 10


def ratio(traffic: str, *ports: StreamPort) -> Figure:
    """Row of cycles used / needed by ``ports`` since they were restarted."""
    used = max(port.span for port in ports)
    needed = max(port.accepted for port in ports)
    return (traffic, "used/needed", round(used / needed, 6), 1.0, "ratio")


def write_rows(rows: list[Figure]) -> None:
    """Hand the figures of this run to :mod:`tb.bench`."""
    keys = ("traffic", "metric", "value", "limit", "unit", "larger_is_better")
    about = {"block": os.environ["BLOCK"], "profile": os.environ["PROFILE"]}
    records = [{**about, **dict(zip(keys, row, strict=False))} for row in rows]
    Path(os.environ["BENCH_ROWS"]).write_text(json.dumps(records))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one beat a cycle is required by the row's limit, not here."""
    for name, value in json.loads(os.environ.get("CONSTANTS", "{}")).items():
        dut[name].value = value
    sources = [PacketSource(dut, name, width) for name, width in ports("INPUTS")]
    sinks = [PacketSink(dut, name, width) for name, width in ports("OUTPUTS")]
    await start(dut)
    for source in sources:
        source.send(Packet(random.randbytes(max(64, MIN_LENGTH))))
    await settle(dut, sources, sinks)
    latency = min(s.first for s in sinks) - min(s.first for s in sources)
    rows: list[Figure] = [(f"{max(64, MIN_LENGTH)} B alone", "latency", latency, None, "cycles")]
    for traffic, lengths in traffics().items():
        for port in (*sources, *sinks):
            port.restart()
        if STORE_AND_FORWARD:
            lengths.insert(0, max(lengths))
        for length in lengths:
            for source in sources:
                source.send(Packet(random.randbytes(length)))
        await settle(dut, sources, sinks)
        assert all(port.accepted for port in (*sources, *sinks)), "a port moved nothing"
        if STORE_AND_FORWARD:
            assert sum(s.accepted for s in sources) == sum(s.accepted for s in sinks), "dropped"
        rows.append(ratio(traffic, *sources, *sinks))
    write_rows(rows)
