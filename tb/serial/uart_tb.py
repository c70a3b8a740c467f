"""cocotb testbench of a transmitter and a receiver of hdl.serial.uart."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from sim.serial import uart_bits
from tb.stream import StreamSink, StreamSource, chance, start

CLOCKS = int(os.environ["CLOCKS_PER_BIT"])
EVERY_BYTE = random.Random(1).sample(range(256), 256)


async def attach(dut, *, source_pause=0.0, sink_pause=0.0):
    """Attach drivers to both, the line of the receiver idle, and release reset."""
    dut.rx.value = 1
    source = StreamSource(dut, "i", pause=chance(source_pause))
    sink = StreamSink(dut, "o", pause=chance(sink_pause))
    await start(dut)
    await ClockCycles(dut.clk, 6)
    return source, sink


async def put(dut, levels, clocks=CLOCKS):
    """Put ``levels`` on the receiver's line, ``clocks`` cycles each."""
    for level in levels:
        dut.rx.value = level
        await ClockCycles(dut.clk, clocks)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def line_is_the_models(dut):
    """Back to back, each byte takes ten bit times on the line, which has the model's levels."""
    source, _ = await attach(dut)
    for byte in EVERY_BYTE:
        source.send_value(byte)
    edge = RisingEdge(dut.clk)
    while dut.tx.value:
        await edge
    for byte in EVERY_BYTE:
        for level in uart_bits(byte):
            for _ in range(CLOCKS):
                assert int(dut.tx.value) == level
                await edge
    for _ in range(3 * CLOCKS):
        assert dut.tx.value == 1
        await edge


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def line_idles_between_bytes(dut):
    """Bytes that come late find the line high, and leave whole."""
    source, sink = await attach(dut, source_pause=0.99)

    async def wire():
        while True:
            await RisingEdge(dut.clk)
            dut.rx.value = int(dut.tx.value)

    cocotb.start_soon(wire())
    for byte in EVERY_BYTE[:64]:
        source.send_value(byte)
    assert [await sink.received.get() for _ in range(64)] == EVERY_BYTE[:64]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(sink_pause=[0.0, 0.5])
async def receiver_reads_every_byte(dut, sink_pause):
    """Every byte arrives once and in order, back to back."""
    _, sink = await attach(dut, sink_pause=sink_pause)
    for byte in EVERY_BYTE:
        await put(dut, uart_bits(byte))
    assert [await sink.received.get() for _ in EVERY_BYTE] == EVERY_BYTE
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def receiver_forgives_clocks(dut):
    """Understand a sender whose clock is 3 % off."""
    _, sink = await attach(dut)
    for byte in EVERY_BYTE[:64]:
        levels = [level for level in uart_bits(byte) for _ in range(CLOCKS)]
        # Less than half a bit in all; the cycle at which it is looked at is lost too.
        for _ in range(3 * CLOCKS // 10 if CLOCKS >= 16 else 0):
            if byte % 2:
                del levels[random.randrange(len(levels) - CLOCKS)]
            else:
                place = random.randrange(len(levels))
                levels.insert(place, levels[place])
        await put(dut, levels, 1)
    assert [await sink.received.get() for _ in range(64)] == EVERY_BYTE[:64]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def noise_and_breaks_are_no_bytes(dut):
    """Take a short glitch and a line held low for nothing, and the byte after them for one."""
    _, sink = await attach(dut)
    await put(dut, [0], max(1, CLOCKS // 2 - 2))
    await put(dut, [1], 12 * CLOCKS)
    assert sink.received.empty()
    await put(dut, [0] * 25 + [1] * 2)
    assert sink.received.empty()
    await put(dut, uart_bits(0xA5))
    assert await sink.received.get() == 0xA5
    assert sink.received.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def overrun_is_told(dut):
    """Lose a byte that finds the one before it waiting, and say so by a pulse."""
    _, sink = await attach(dut, sink_pause=1.0)
    pulses = 0

    async def count():
        nonlocal pulses
        while True:
            await RisingEdge(dut.clk)
            pulses += int(dut.overrun.value)

    cocotb.start_soon(count())
    for byte in (1, 2, 3):
        await put(dut, uart_bits(byte))
    await ClockCycles(dut.clk, CLOCKS)
    assert pulses == 2
    sink.pause = chance(0)
    assert await sink.received.get() == 1
    await put(dut, uart_bits(4))
    assert await sink.received.get() == 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_byte(dut):
    """After a reset in mid-byte the line idles, and the rest of a byte is not taken for one."""
    source, sink = await attach(dut)
    source.send_value(0)
    await put(dut, list(uart_bits(0x00))[:4])
    dut.rst.value = 1
    await put(dut, [0])
    dut.rst.value = 0
    await put(dut, [*list(uart_bits(0x00))[5:], 1])
    assert dut.tx.value == 1
    assert sink.received.empty()
    await put(dut, uart_bits(0x5A))
    assert await with_timeout(sink.received.get(), 10, "us") == 0x5A
