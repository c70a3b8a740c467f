"""cocotb testbench of several hdl.memory.DelayLine side by side, fed with the same value."""

import json
import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.memory import DelayLineModel
from tb.stream import start

CYCLES = json.loads(os.environ["CYCLES"])
WIDTH = int(os.environ["WIDTH"])


async def run_lines(dut, values) -> None:
    """Feed ``values``, one a cycle, and compare every line with its model in every cycle."""
    models = [DelayLineModel(cycles) for cycles in CYCLES]
    outputs = [dut[f"o__{number}"] for number in range(len(CYCLES))]
    compared = [0] * len(CYCLES)
    edge = RisingEdge(dut.clk)
    for value in values:
        dut.i.value = value
        await edge
        for number, (model, output) in enumerate(zip(models, outputs, strict=True)):
            expected = model.step(value)
            if expected is not None:
                compared[number] += 1
                assert int(output.value) == expected, f"line of {CYCLES[number]} cycles"
    assert compared == [max(0, len(values) - cycles) for cycles in CYCLES]


@cocotb.test(timeout_time=100, timeout_unit="us")
async def each_value_leaves_after_its_cycles(dut):
    """Random values, one a cycle, for several times round the longest ring."""
    await start(dut)
    await run_lines(dut, [random.getrandbits(WIDTH) for _ in range(5 * max(CYCLES))])


@cocotb.test(timeout_time=100, timeout_unit="us")
async def single_pulse_leaves_once(dut):
    """Pass a value unlike all others: it leaves in one cycle only."""
    await start(dut)
    await run_lines(dut, [0, 0, (1 << WIDTH) - 1, *[0] * (3 * max(CYCLES))])


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(gap=[1, 2, 3, 50])
async def reset_in_flight_loses_only_what_was_inside(dut, gap):
    """After a reset at any place of the ring, the delay is what it was."""
    await start(dut)
    for fed in range(4, 24, 5):
        await run_lines(dut, [random.getrandbits(WIDTH) for _ in range(fed)])
        dut.rst.value = 1
        await ClockCycles(dut.clk, gap)
        dut.rst.value = 0
        await run_lines(dut, [random.getrandbits(WIDTH) for _ in range(2 * max(CYCLES))])
