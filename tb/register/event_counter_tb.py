"""cocotb testbench of hdl.register.EventCounter."""

import os
import random
from collections.abc import Callable

import cocotb
from cocotb.triggers import RisingEdge

from sim.register import EventCounterModel
from tb.stream import start

BITS = int(os.environ["BITS"])
STAGE_COUNT = int(os.environ["STAGE_COUNT"])
INCREMENT_MAX = int(os.environ["INCREMENT_MAX"])
SATURATES = os.environ["SATURATES"] == "True"

TRAFFIC: dict[str, Callable[[], int]] = {
    "nothing": lambda: 0,
    "most": lambda: INCREMENT_MAX,
    "one": lambda: 1,
    "any": lambda: random.randint(0, INCREMENT_MAX),
    "seldom": lambda: random.choice([0, 0, 0, 0, 1, INCREMENT_MAX]),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(traffic=list(TRAFFIC))
async def value_is_the_total_of_some_cycles_ago(dut, traffic):
    """In every cycle the value is exactly the model's total STAGE_COUNT cycles before."""
    increments = [TRAFFIC[traffic]() for _ in range(600)]
    totals = EventCounterModel(bits=BITS, saturates=SATURATES).count(increments)
    dut.increment.value = 0
    await start(dut)
    edge = RisingEdge(dut.clk)
    seen = []
    for increment in [*increments, *[0] * (STAGE_COUNT + 1)]:
        dut.increment.value = increment
        await edge
        seen.append(int(dut.value.value))
    # An increment applied after edge n is taken at edge n + 1, so its total is read at
    # edge n + 1 + STAGE_COUNT, whose list index is n + STAGE_COUNT.
    assert seen[:STAGE_COUNT] == [0] * STAGE_COUNT
    assert seen[STAGE_COUNT : STAGE_COUNT + len(totals)] == totals


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_begins_anew(dut):
    """After a reset in the midst of counting, nothing of before shows."""
    dut.increment.value = INCREMENT_MAX
    await start(dut)
    edge = RisingEdge(dut.clk)
    for _ in range(40):
        await edge
    dut.rst.value = 1
    await edge
    dut.rst.value = 0
    dut.increment.value = 0
    for _ in range(STAGE_COUNT + 3):
        await edge
        assert int(dut.value.value) == 0
