"""cocotb testbench of hdl.pipeline.ProgrammableParser: its registers, by cocotbext-axi's master."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hdl.pipeline import DEFAULT_GRAPH, compile_graph, register_writes
from sim.pipeline import Graph, ParserModel
from sim.stream import Packet
from tb.pipeline.described_port import DescribedSink
from tb.stream import PacketSource, start

DATA_BYTES = int(os.environ["DATA_BYTES"])
HEADER_COUNT = int(os.environ["HEADER_COUNT"])
SLOTS = json.loads(os.environ["SLOTS"])
FRAMES = [bytes.fromhex(line) for line in Path(os.environ["FRAMES"]).read_text().split()]
OTHER = Path(os.environ["OTHER_GRAPH"])
# As docs/registers/parser.md has them.
CONTROL, REFUSED = 0x00, 0x08


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_graph_is_replaced_through_registers(dut):
    """Packets follow the graph of the bank that the register names; a bank in use stays."""
    sizes = {"header_count": HEADER_COUNT, "slots": SLOTS}
    models = [ParserModel(Graph.load(path), **sizes) for path in (DEFAULT_GRAPH, OTHER)]
    tables = compile_graph(OTHER, list(SLOTS))
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = DescribedSink(dut, "o", DATA_BYTES, names=tables.names, **sizes)
    bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
    await start(dut)

    async def traffic(model: ParserModel, bank: int) -> None:
        for frame in random.sample(FRAMES, 40):
            source.send(Packet(frame))
            parsed, _ = await sink.received.get()
            expected = model.parse(frame)
            assert parsed.headers == expected.headers
            assert (parsed.error, parsed.icrc_good) == (expected.error, expected.icrc_good)
            assert sink.banks[-1] == bank

    await traffic(models[0], 0)
    for address, word in register_writes(tables, 0):
        await bus.write_dword(address, word)
    assert await bus.read_qword(REFUSED) == len(tables.states) + len(tables.transitions)
    await traffic(models[0], 0)
    for address, word in register_writes(tables, 1):
        await bus.write_dword(address, word)
    assert await bus.read_qword(REFUSED) == len(tables.states) + len(tables.transitions)
    await bus.write_dword(CONTROL, 1)
    await traffic(models[1], 1)
    assert await bus.read_dword(CONTROL) == 1, "no bank should be busy"
    differing = [frame for frame in FRAMES if models[0].parse(frame) != models[1].parse(frame)]
    assert differing, "the two graphs should disagree on some frame"
