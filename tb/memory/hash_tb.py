"""cocotb testbench of hdl.memory.Hash."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.memory import HashModel
from tb.stream import start

KEY_BITS = int(os.environ["KEY_BITS"])
LATENCY = int(os.environ["LATENCY"])
MODEL = HashModel(
    key_bits=KEY_BITS, index_bits=int(os.environ["INDEX_BITS"]), seed=int(os.environ["SEED"])
)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def index_is_the_models(dut):
    """Every bit alone, none, all, and random keys, one a cycle."""
    keys = [0, (1 << KEY_BITS) - 1, *(1 << bit for bit in range(KEY_BITS))]
    keys += [random.getrandbits(KEY_BITS) for _ in range(500)]
    await start(dut)
    edge = RisingEdge(dut.clk)
    for cycle in range(len(keys) + LATENCY):
        if cycle < len(keys):
            dut.key.value = keys[cycle]
        await edge
        if cycle >= LATENCY:
            assert int(dut.index.value) == MODEL(keys[cycle - LATENCY])
