"""cocotb testbench of hdl.headers.FieldExtract and its inverse, hdl.headers.FieldPack."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from sim.headers import decode, encode, widths
from tb.stream import StreamSink, StreamSource, chance, start

HEADER = os.environ["HEADER"]
PACKS = os.environ["DIRECTION"] == "pack"


def wire(fields: dict[str, int]) -> int:
    """Header as the vector whose low byte is first on the wire."""
    return int.from_bytes(encode(HEADER, fields), "little")


def values(fields: dict[str, int]) -> int:
    """Payload of the stream of fields: the last field of the header in the low bits."""
    value = 0
    for name, bits in widths(HEADER).items():
        value = value << bits | fields[name]
    return value


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(source_stall=[0.0, 0.5], sink_stall=[0.0, 0.5])
async def every_field_arrives(dut, source_stall, sink_stall):
    """Random headers and each field alone; without stalls, one in every cycle."""
    size = len(encode(HEADER, {}))
    queue = [decode(HEADER, random.randbytes(size)) for _ in range(50)]
    for field, bits in widths(HEADER).items():
        queue.append(decode(HEADER, encode(HEADER, {field: (1 << bits) - 1})))
    source = StreamSource(dut, "i", pause=chance(source_stall))
    sink = StreamSink(dut, "o", pause=chance(sink_stall))
    await start(dut)
    for fields in queue:
        source.send_value(values(fields) if PACKS else wire(fields))
    for fields in queue:
        assert await sink.received.get() == (wire(fields) if PACKS else values(fields))
    if not source_stall and not sink_stall:
        assert sink.span == len(queue)
        assert sink.first == source.first + 1


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_forgets_a_header(dut):
    """Reset while a header is refused: it is gone, and the next one is whole."""
    fields = [decode(HEADER, random.randbytes(len(encode(HEADER, {})))) for _ in range(2)]
    source = StreamSource(dut, "i")
    sink = StreamSink(dut, "o", pause=lambda: not sent_again)
    sent_again = False
    await start(dut)
    source.send_value(values(fields[0]) if PACKS else wire(fields[0]))
    await ClockCycles(dut.clk, 5)
    assert dut.o__valid.value
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await FallingEdge(dut.clk)  # the sink has seen that edge by now
    sink.flush()
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    assert not dut.o__valid.value
    sent_again = True
    source.send_value(values(fields[1]) if PACKS else wire(fields[1]))
    assert await sink.received.get() == (wire(fields[1]) if PACKS else values(fields[1]))
