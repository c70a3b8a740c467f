"""cocotb testbench of an encoder and a decoder of hdl.serial.slip, side by side."""

import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.serial import slip, unslip
from sim.stream import Packet
from tb.stream import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset, start

SPECIAL = b"\xc0\xdb\xdc\xdd\x00\xff"
LENGTHS = [*range(1, 6), 64, 65]


def packets(count: int) -> list[bytes]:
    """Bytes of packets, half of them rich in those that are escaped."""
    found = []
    for n in range(count):
        size = random.choice(LENGTHS)
        found.append(bytes(random.choices(SPECIAL, k=size)) if n % 2 else random.randbytes(size))
    return found


async def attach(dut, *, source_pause=0.0, sink_pause=0.0):
    """Attach drivers to encoder (packet_i, byte_o) and decoder (byte_i, packet_o)."""
    drivers = (
        PacketSource(dut, "packet_i", 1, pause=chance(source_pause)),
        StreamSink(dut, "byte_o", pause=chance(sink_pause)),
        StreamSource(dut, "byte_i", pause=chance(source_pause)),
        PacketSink(dut, "packet_o", 1, pause=chance(sink_pause)),
    )
    await start(dut)
    return drivers


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.5], sink_pause=[0.0, 0.5])
async def frames_are_the_models(dut, source_pause, sink_pause):
    """Frames are those of the model, at a byte a cycle where nobody waits."""
    source, sink, _, _ = await attach(dut, source_pause=source_pause, sink_pause=sink_pause)
    sent = packets(60)
    for data in sent:
        source.send(Packet(data))
    expected = b"".join(slip(data) for data in sent)
    assert bytes([await sink.received.get() for _ in expected]) == expected
    if not source_pause and not sink_pause:
        assert sink.span == len(expected)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.5], sink_pause=[0.0, 0.5])
async def packets_are_the_models(dut, source_pause, sink_pause):
    """Frames, also empty ones and such as break the rules, give the model's packets."""
    _, _, source, sink = await attach(dut, source_pause=source_pause, sink_pause=sink_pause)
    line = b"\xc0\xc0" + b"".join(slip(data) for data in packets(40))
    # Wrong escapes: of another byte, of END, of ESC, and alone in a frame.
    line += b"\xdbA\xc0" + b"A\xdb\xc0" + b"\xdb\xdb\xc0" + b"\xdb\xc0" + slip(b"right")
    line += bytes(random.choices(SPECIAL, k=500)) + b"\xc0" + slip(b"right")
    for byte in line:
        source.send_value(byte)
    for packet in unslip(line):
        assert await sink.received.get() == Packet(packet.data, packet.error)
    if not source_pause and not sink_pause:
        assert source.span == len(line)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset in mid-packet, in mid-escape, the next packets are whole."""
    drivers = await attach(dut)
    source, frames, line, sink = drivers
    for _ in range(20):
        source.send(Packet(b"\xc0\xdb" * 8))
        for byte in b"\xdbAAA\xdb":
            line.send_value(byte)
        await ClockCycles(dut.clk, random.randint(3, 12))
        await reset(dut, *drivers)
        source.send(Packet(b"after"))
        for byte in slip(b"after"):
            line.send_value(byte)
        assert await sink.received.get() == Packet(b"after")
        assert bytes([await frames.received.get() for _ in range(6)]) == slip(b"after")
