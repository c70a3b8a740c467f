"""cocotb testbench of hdl.pipeline.Parser."""

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pipeline import DEFAULT_GRAPH, Table, TableWriteLayout, compile_graph
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
    """Frames of the campaign, back to back, are parsed as the model parses them, at full rate."""
    source, sink = await attach(dut)
    await check(source, sink, [Packet(frame) for frame in FRAMES])
    assert max(source.span, sink.span) == sink.accepted


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.3, 0.9])
async def stalls_change_nothing(dut, source_stall, sink_stall):
    """Pauses on either side, and damaged packets, change no packet and no descriptor."""
    source, sink = await attach(dut, source_stall=source_stall, sink_stall=sink_stall)
    frames = random.sample(FRAMES, 60)
    await check(source, sink, [Packet(f, error=random.random() < 0.2) for f in frames])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_length_from_one_byte(dut):
    """Cut a frame to each length up to four beats, and beyond where its headers end."""
    frame = max((f for f in FRAMES if len(f) < 400), key=lambda f: len(MODEL.parse(f).headers))
    sizes = range(1, max(4 * DATA_BYTES, 200) + 1)
    source, sink = await attach(dut)
    await check(source, sink, [Packet(frame.ljust(size, b"\0")[:size]) for size in sizes])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_full_parser_loses_nothing(dut):
    """While the output is refused for long, beats wait; then all packets leave, in order."""
    source, sink = await attach(dut)
    refusing = True
    sink.pause = lambda: refusing
    frames = [Packet(f) for f in FRAMES[-300:]] + [Packet(bytes([n + 1])) for n in range(200)]
    for packet in frames:
        source.send(packet)
    await ClockCycles(dut.clk, 1500)
    assert not source.idle and not source.ready.value
    refusing = False
    for packet in frames:
        parsed, same = await sink.received.get()
        assert same == packet
        assert comparable(parsed) == comparable(MODEL.parse(packet.data))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """Reset forgets what was in flight; the next packet is the first."""
    source, sink = await attach(dut)
    for _ in range(5):
        for frame in random.sample(FRAMES, 20):
            source.send(Packet(frame))
        await ClockCycles(dut.clk, random.randrange(20, 400))
        dut.rst.value = 1
        source.flush()
        await ClockCycles(dut.clk, 2)
        sink.flush()
        while not sink.received.empty():
            sink.received.get_nowait()
        dut.rst.value = 0
        await ClockCycles(dut.clk, 1)
        await check(source, sink, [Packet(frame) for frame in random.sample(FRAMES, 10)])


def directed() -> dict[str, tuple[bytes, dict[str, object]]]:
    """Frames by what they are, with the fields of ``Parsed`` that must come out."""
    roce = next(f for f in FRAMES if MODEL.parse(f).icrc_good and len(f) < 80 and f[12] == 8)
    tags = roce[:12] + bytes.fromhex("81000005") * 30 + roce[12:]
    options = roce[:14] + bytes([0x4F]) + roce[15:34] + bytes(40) + roce[34:]
    short_ihl = roce[:14] + bytes([0x44]) + roce[15:]
    version = roce[:14] + bytes([0x65]) + roce[15:]
    flipped = roce[:-1] + bytes([roce[-1] ^ 1])
    deep = bytes(12) + bytes.fromhex("86dd 60000000 0400 00 40") + bytes(32)
    deep += bytes([0, 27]) + bytes(27 * 8 + 6) + bytes([59, 0]) + bytes(300)
    # A tunnel whose own UDP length ends within the inner IP header, which is right.
    lying = bytes(12) + bytes.fromhex("0800 4500 0000 0000 4000 4011 0000 c0000201 c0000202")
    lying += bytes.fromhex("1234 17c1 001a 0000 0000 0800 00000000") + roce[14:]
    return {
        "tunnel with a wrong UDP length": (lying, {"icrc_good": True}),
        "padded by Ethernet": (roce + bytes(6), {"icrc_good": True, "error": None}),
        "bad ICRC": (flipped, {"icrc_good": False, "error": None}),
        "IPv4 options": (options, {"error": None}),
        "IHL below 5": (short_ihl, {"error": "bad_header"}),
        "wrong IP version": (version, {"error": "bad_header"}),
        "cut in the BTH": (roce[:50], {"error": "truncated", "icrc_good": False}),
        "cut before the BTH": (roce[:42], {"error": "truncated", "icrc_good": None}),
        "too many tags": (tags, {"error": "too_many_headers"}),
        "extension header beyond 256 bytes": (deep, {"error": "too_deep"}),
    }


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def directed_frames(dut):
    """Frames that specifications forbid have their error code; those that they allow have none."""
    source, sink = await attach(dut)
    for name, (frame, expected) in directed().items():
        source.send(Packet(frame))
        parsed, _ = await sink.received.get()
        found = {key: getattr(parsed, key) for key in expected}
        assert found == expected, f"{name}: {found}"
        assert comparable(parsed) == comparable(MODEL.parse(frame)), name


async def write_graph(dut, path, bank):
    """Write the tables of a graph to ``bank``, a row a cycle; return how many were refused."""
    tables = compile_graph(path, list(SLOTS))
    layout = TableWriteLayout()
    rows = [(Table.STATES, row, entry) for row, entry in enumerate(tables.states)]
    rows += [(Table.TRANSITIONS, row, entry) for row, entry in enumerate(tables.transitions)]
    refused = 0
    for table, row, entry in rows:
        value = layout.const({"table": table, "bank": bank, "row": row, "entry": entry})
        dut.write.value = 1 | value.as_bits() << 1
        await RisingEdge(dut.clk)
        refused += int(dut.refused.value)
    dut.write.value = 0
    for _ in range(2):
        await RisingEdge(dut.clk)
        refused += int(dut.refused.value)
    return refused, len(rows)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_graph_is_replaced_under_traffic(dut):
    """Packets are parsed whole by the graph they began under while the other is rewritten."""
    other = Path(os.environ["OTHER_GRAPH"])
    models = [MODEL, ParserModel(Graph.load(other), header_count=HEADER_COUNT, slots=SLOTS)]
    source, sink = await attach(dut, sink_stall=0.2)
    frames = [f for f in FRAMES if len(f) < 300][-1500:]
    for frame in frames:
        source.send(Packet(frame))
    # A bank in use takes nothing, and its packets do not notice.
    refused, rows = await write_graph(dut, other, bank=0)
    assert refused == rows
    refused, rows = await write_graph(dut, other, bank=1)
    assert refused == 0
    dut.bank.value = 1
    while int(dut.busy.value) & 1:
        await RisingEdge(dut.clk)
    refused, _ = await write_graph(dut, other, bank=0)
    assert refused == 0
    differing = 0
    for number, frame in enumerate(frames):
        parsed, same = await sink.received.get()
        assert same.data == frame
        expected = models[sink.banks[number]].parse(frame)
        assert comparable(parsed) == comparable(expected)
        differing += comparable(expected) != comparable(models[1 - sink.banks[number]].parse(frame))
    assert sink.banks == sorted(sink.banks) and set(sink.banks) == {0, 1}
    assert differing, "the two graphs should disagree on some frame"
