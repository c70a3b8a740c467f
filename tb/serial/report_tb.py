"""cocotb testbench of hdl.serial.Report."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.serial import report
from tb.stream import PacketSink, StreamSource, chance, reset, start

WIDTH = int(os.environ["WIDTH"])


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.5], sink_pause=[0.0, 0.5])
async def packets_are_the_models(dut, source_pause, sink_pause):
    """Each payload leaves as the model's packet, at a byte a cycle where nobody waits."""
    source = StreamSource(dut, "i", pause=chance(source_pause))
    sink = PacketSink(dut, "o", 1, pause=chance(sink_pause))
    await start(dut)
    values = [0, (1 << WIDTH) - 1, *(random.getrandbits(WIDTH) for _ in range(50))]
    for value in values:
        source.send_value(value)
    for value in values:
        assert await sink.received.get() == report(value, WIDTH)
    if not source_pause and not sink_pause:
        assert sink.span == len(values) * -(-WIDTH // 8)
    await ClockCycles(dut.clk, 10)
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset the next packet is whole."""
    source = StreamSource(dut, "i")
    sink = PacketSink(dut, "o", 1)
    await start(dut)
    for _ in range(10):
        value = random.getrandbits(WIDTH)
        source.send_value(value)
        source.send_value(value)
        await ClockCycles(dut.clk, random.randint(2, 8))
        await reset(dut, source, sink)
        source.send_value(value)
        assert await sink.received.get() == report(value, WIDTH)
        assert sink.received.empty()
