"""cocotb testbench of hdl.pipeline.Parser."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cocotb

from hdl.pipeline import DEFAULT_GRAPH, compile_graph
from sim.pipeline import Graph, Parsed, ParserModel
from sim.stream import Packet
from tb.pipeline.described_port import DescribedSink
from tb.stream import PacketSource, chance, start

DATA_BYTES = int(os.environ["DATA_BYTES"])
HEADER_COUNT = int(os.environ["HEADER_COUNT"])
SLOTS = json.loads(os.environ["SLOTS"])
FRAMES = [bytes.fromhex(line) for line in Path(os.environ["FRAMES"]).read_text().split()]
MODEL = ParserModel(Graph.load(DEFAULT_GRAPH), header_count=HEADER_COUNT, slots=SLOTS)
NAMES = compile_graph(DEFAULT_GRAPH, list(SLOTS)).names


def comparable(parsed: Parsed) -> Parsed:
    """Leave out of ``parsed`` what has no meaning."""
    return replace(parsed, header_bytes=0) if parsed.error else parsed


async def attach(dut, *, source_stall=0.0, sink_stall=0.0):
    """Attach drivers and release reset."""
    dut.bank.value = 0
    dut.write.value = 0
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    sink = DescribedSink(
        dut,
        "o",
        DATA_BYTES,
        header_count=HEADER_COUNT,
        slots=SLOTS,
        names=NAMES,
        pause=chance(sink_stall),
    )
    await start(dut)
    return source, sink


async def check(source, sink, packets, model=MODEL):
    """Send ``packets`` and compare each with the model."""
    for packet in packets:
        source.send(packet)
    for number, packet in enumerate(packets):
        parsed, same = await sink.received.get()
        assert same == packet, f"packet {number} changed: {packet.data.hex()}"
        expected = model.parse(packet.data)
        assert comparable(parsed) == comparable(expected), (
            f"packet {number}: {packet.data.hex()}\n RTL   {parsed}\n model {expected}"
        )


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def every_frame_as_the_model(dut):
    """Frames of the campaign, back to back, are parsed as the model parses them."""
    source, sink = await attach(dut)
    await check(source, sink, [Packet(frame) for frame in FRAMES])
