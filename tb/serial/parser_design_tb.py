"""cocotb testbench of a parser behind a serial line."""

import json
import os
from pathlib import Path

import cocotb
from amaranth.lib import data

from hdl.pipeline import DEFAULT_GRAPH, DescriptorLayout, IcrcVerdict, ParseError
from sim.pipeline import Graph, ParserModel
from sim.serial import slip

from .loopback_tb import answers, attach, send

HEADER_COUNT = int(os.environ["HEADER_COUNT"])
SLOTS = json.loads(os.environ["SLOTS"])
FRAMES = [bytes.fromhex(line) for line in Path(os.environ["FRAMES"]).read_text().split()]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def answers_are_the_models(dut):
    """Each packet is answered by its descriptor and the verdict on its ICRC."""
    layout = data.StructLayout(
        {"descriptor": DescriptorLayout(HEADER_COUNT, SLOTS), "icrc": IcrcVerdict()}
    )
    model = ParserModel(Graph.load(DEFAULT_GRAPH), header_count=HEADER_COUNT, slots=SLOTS)
    received = await attach(dut)
    line = b"\xc0" + b"".join(slip(frame) for frame in FRAMES)
    sending = cocotb.start_soon(send(dut, line))
    found = await answers(received, len(FRAMES))
    await sending
    for frame, answer in zip(FRAMES, found, strict=True):
        value = layout.from_bits(int.from_bytes(answer, "little"))
        expected = model.parse(frame)
        assert expected.error is None
        assert value.descriptor.error == ParseError.NONE
        assert value.descriptor.header_bytes == expected.header_bytes
        offsets = [h.offset for h in value.descriptor.headers if h.state]
        assert offsets == [offset for _, offset in expected.headers]
        for name, window in expected.windows.items():
            slot = value.descriptor.slots[name]
            assert slot.valid
            assert int(slot.window).to_bytes(SLOTS[name], "little") == window
        verdict = bool(value.icrc.good) if value.icrc.present else None
        assert verdict == expected.icrc_good
