# amaranth: UnusedElaboratable=no
"""FromAxiStream and ToAxiStream: names, connection, model, and the testbench with cocotbext-axi."""

import re

import pytest
from amaranth import Module
from amaranth.back import verilog
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.stream import FromAxiStream, PacketSignature, ToAxiStream
from sim.stream import AxiBeat, Beat, FromAxiStreamModel, Packet, to_beats
from tb.simulate import simulate

ADAPTERS = {"from": FromAxiStream, "to": ToAxiStream}


@pytest.mark.parametrize("data_bytes", [1, 64])
@pytest.mark.parametrize("direction", ["from", "to"])
def test_axi_stream(direction, data_bytes, run_dir):
    simulate(
        ADAPTERS[direction](data_bytes=data_bytes),
        name=f"{direction}_axi_stream",
        testbench="tb.stream.axi_stream_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DIRECTION": direction},
    )


@pytest.mark.parametrize(("direction", "prefix"), [("from", "s_axis"), ("to", "m_axis")])
def test_port_names(direction, prefix):
    text = verilog.convert(ADAPTERS[direction](data_bytes=8), emit_src=False)
    ports = set(re.findall(r"\b(?:input|output)\b.*?(\w+);", text))
    names = ("tdata", "tkeep", "tlast", "tuser", "tvalid", "tready")
    assert {f"{prefix}_{name}" for name in names} <= ports


@pytest.mark.parametrize("adapter", [FromAxiStream, ToAxiStream])
def test_refuses(adapter):
    with pytest.raises(ValueError, match="power of two, not 3"):
        adapter(data_bytes=3)


def test_connects_as_one_bus():
    """The buses of the two adapters connect, and every signal gets through."""

    class BackToBack(wiring.Component):
        i: stream.Interface
        o: stream.Interface

        def __init__(self):
            packets = PacketSignature(8)
            super().__init__({"i": In(packets), "o": Out(packets)})

        def elaborate(self, platform):
            m = Module()
            m.submodules.to_axi = to_axi = ToAxiStream(data_bytes=8)
            m.submodules.from_axi = from_axi = FromAxiStream(data_bytes=8)
            wiring.connect(m, wiring.flipped(self.i), to_axi.i)
            wiring.connect(m, to_axi.m_axis, from_axi.s_axis)
            wiring.connect(m, from_axi.o, wiring.flipped(self.o))
            return m

    packets = [Packet(bytes(range(19))), Packet(b"damaged", error=True), Packet(b"x")]
    beats = [beat for packet in packets for beat in to_beats(packet, 8)]
    dut = BackToBack()

    async def send(context):
        for beat in beats:
            await stream_put(context, dut.i, vars(beat))

    arrived = []

    async def receive(context):
        for _ in beats:
            value = await stream_get(context, dut.o)
            kept = value.data & ((1 << 8 * value.keep.bit_length()) - 1)
            arrived.append(Beat(kept, value.keep, bool(value.last), bool(value.error)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    assert arrived == beats


async def stream_put(context, port, payload):
    context.set(port.payload, payload)
    context.set(port.valid, 1)
    await context.tick().until(port.ready)
    context.set(port.valid, 0)


async def stream_get(context, port):
    context.set(port.ready, 1)
    (payload,) = await context.tick().sample(port.payload).until(port.valid)
    context.set(port.ready, 0)
    return payload


def test_model_by_hand():
    model = FromAxiStreamModel(2)
    beats = [
        AxiBeat(0x2211, 3, False),
        AxiBeat(0xFFFF, 0, False),
        AxiBeat(0x33, 1, True),  # well-formed but for a null beat, which carries nothing
        AxiBeat(0, 0, True),  # no packet
        AxiBeat(0x44, 1, False),
        AxiBeat(0x6655, 3, True),  # partly filled before the last beat
        AxiBeat(0x7788, 2, True),  # a hole
        AxiBeat(0x99, 1, True, user=True),
    ]
    assert list(model.receive(beats)) == [
        Beat(0x2211, 3, False, False),
        Beat(0x33, 1, True, False),
        Beat(0x44, 3, False, False),
        Beat(0x6655, 3, True, True),
        Beat(0x7788, 3, True, True),
        Beat(0x99, 1, True, True),
    ]
    assert model.malformed_count == 3
