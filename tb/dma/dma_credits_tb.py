"""cocotb testbench of hdl.dma.Dma at a partner that gives no credits for many timeouts."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie.tlp import TlpClass

from ..pcie.switch_port import Credits
from ..stream import start
from .memory_clients import OK, MemoryReader
from .rate_host import MEMORY, RateHost

DATA_BYTES = int(os.environ["DATA_BYTES"])
TAG_COUNT = int(os.environ["TAG_COUNT"])
TIMEOUT = 600
TIMED_OUT = 4
LENGTH = 512


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def no_read_gets_what_an_old_one_asked_for(dut):
    """Let reads wait for credits until their tags have long been given back; then let them go.

    Each is answered, and the answer finds no other read of its tag.
    """
    few = (Credits(64, 1024), Credits(4, 64), Credits(64, 1024))
    host = RateHost(dut, max(1, DATA_BYTES // 32), limits=few)
    clients = [MemoryReader(dut, f"reads__{n}", DATA_BYTES) for n in range(2)]
    dut.max_payload.value, dut.max_request.value = 1, 2
    dut.requester.value, dut.timeout.value = 0x0100, TIMEOUT
    await start(dut)
    host.port.link()
    await ClockCycles(dut.clk, 20 * TAG_COUNT)
    ended: list[int] = []

    async def read() -> None:
        place = random.randrange(0, len(MEMORY), LENGTH)
        address = random.randrange(1 << 16, 1 << 20) * len(MEMORY) + place
        data, status = await random.choice(clients).read(address, LENGTH)
        ended.append(status)
        assert status in (OK, TIMED_OUT)
        assert status != OK or data == MEMORY[place : place + LENGTH], "another read's bytes"

    # As many as there are tags wait in the endpoint, and as many again have room behind them.
    assert TAG_COUNT <= 8
    for _ in range(10):
        host.port.starve(TlpClass.NON_POSTED)
        jobs = [cocotb.start_soon(read()) for _ in range(2 * TAG_COUNT)]
        await ClockCycles(dut.clk, random.randint(10, 14) * TIMEOUT)
        jobs += [cocotb.start_soon(read()) for _ in range(TAG_COUNT)]
        await ClockCycles(dut.clk, random.randint(1, TIMEOUT))
        host.port.feed()
        for job in jobs:
            await job
    assert TIMED_OUT in ended
    # All tags are back in the end.
    await ClockCycles(dut.clk, 4 * TIMEOUT)
    ended.clear()
    for job in [cocotb.start_soon(read()) for _ in range(2 * TAG_COUNT)]:
        await job
    assert set(ended) == {OK}
