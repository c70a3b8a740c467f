"""cocotb testbench of hdl.dma.SentReads."""

import os
import random
from collections import deque

import cocotb
from cocotb.triggers import RisingEdge

from sim.dma import SentReadsModel

from ..stream import start

LANES = int(os.environ["LANES"])
MOST = int(os.environ["MOST"])
#: Cycles until a strobe knows what was handed over and sent.
LATENCY = 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(taking=[0.1, 0.9], sending=[0.05, 0.5])
async def strobes_are_true_and_come(dut, taking, sending):
    """Never tell too early, always when nothing is left."""
    dut.taken.value = dut.sent.value = dut.clear.value = 0
    await start(dut)
    model = SentReadsModel()
    known = deque([0] * LATENCY)  # what was handed over lately; a strobe may not know of it
    under_way = quiet = strobes = 0
    edge = RisingEdge(dut.clk)
    for cycle in range(6000):
        await edge
        is_quiet = cycle % 500 > 400
        if dut.passed.value:
            strobes += 1
            assert model.is_right(), f"too early in cycle {cycle}"
            quiet = 0
        if under_way == 0:
            quiet += 1
            assert quiet <= 2 + LATENCY, "nothing is under way, and nobody says so"
        else:
            quiet = 0
        taken = under_way < MOST and not is_quiet and random.random() < taking
        sent = 0
        if under_way and (is_quiet or random.random() < sending):
            sent = random.randint(1, min(LANES, under_way))
        clear = random.random() < 0.002
        dut.taken.value, dut.sent.value, dut.clear.value = int(taken), sent, int(clear)
        # The model sees what the strobe can see: sent at once, handed over as late as may be.
        model.send(sent)
        known.append(int(taken))
        for _ in range(known.popleft()):
            model.take()
        under_way += taken - sent
        if clear:
            under_way = 0
            model.clear()
            known = deque([0] * LATENCY)
    assert strobes > 100
