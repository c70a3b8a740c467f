"""cocotb testbench of a design that sends packets back over its serial line."""

import os
import random

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from sim.serial import slip, uart_bits, unslip
from tb.stream import start

CLOCKS = int(os.environ["CLOCKS_PER_BIT"])


async def send(dut, line: bytes) -> None:
    """Put ``line`` on the host's side of the serial line."""
    for byte in line:
        for level in uart_bits(byte):
            dut.rx.value = level
            await ClockCycles(dut.clk, CLOCKS)


async def receive(dut, received: Queue) -> None:
    """Put each byte that the design sends in ``received``."""
    edge = RisingEdge(dut.clk)
    while True:
        await edge
        if dut.tx.value:
            continue
        await ClockCycles(dut.clk, CLOCKS // 2)
        byte = 0
        for position in range(8):
            await ClockCycles(dut.clk, CLOCKS)
            byte |= int(dut.tx.value) << position
        await ClockCycles(dut.clk, CLOCKS)
        assert dut.tx.value == 1, "no stop bit"
        received.put_nowait(byte)


async def attach(dut) -> Queue:
    """Release reset with the line idle; return where received bytes go."""
    dut.rx.value = 1
    received: Queue = Queue()
    await start(dut)
    await ClockCycles(dut.clk, 4)
    cocotb.start_soon(receive(dut, received))
    return received


async def answers(received: Queue, count: int) -> list[bytes]:
    """Wait for ``count`` packets from the design."""
    line = bytearray()
    while len(unslip(bytes(line))) < count:
        line.append(await with_timeout(received.get(), 200, "us"))
    return [packet.data for packet in unslip(bytes(line))]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def packets_come_back(dut):
    """Packets of any length and content come back in order; wrong frames do not."""
    received = await attach(dut)
    lengths = [1, 2, 7, 8, 9, 64, 65, 200]
    sent = [random.randbytes(size) for size in lengths] + [b"\xc0\xdb" * 5]
    await send(dut, b"\xc0" + b"".join(slip(data) + b"wrong\xdbx\xc0" for data in sent))
    assert await answers(received, len(sent)) == sent
    await ClockCycles(dut.clk, 40 * CLOCKS)
    assert received.empty()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset the next packet comes back."""
    received = await attach(dut)
    await send(dut, b"\xc0before")
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 3)
    await send(dut, b"\xc0" + slip(b"after"))
    assert await answers(received, 1) == [b"after"]
