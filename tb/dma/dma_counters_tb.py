"""cocotb testbench of hdl.dma.DmaCounters, read through cocotbext-axi."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hdl.dma import DMA_COUNTERS, DmaEventsLayout

from ..stream import start
from .fields import pack_fields

#: Most of a cycle: two reads can end in one, four TLPs and the one before them in another.
MOST = {
    **dict.fromkeys(("unsupported", "aborted", "poisoned", "timed_out", "lost", "unexpected"), 2),
    **dict.fromkeys(("malformed", "overflow", "nullified"), 5),
}


@cocotb.test(timeout_time=100, timeout_unit="us")
async def counts(dut):
    """Count each event of each cycle, and no other."""
    layout = DmaEventsLayout()
    dut.i.value = 0
    bus: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
    for channel in (bus.write_if, bus.read_if):
        channel.log.setLevel("ERROR")
    await start(dut)
    totals = {str(name): 0 for name, _ in layout}
    for _ in range(300):
        now = {name: random.randint(0, most) for name, most in MOST.items()}
        for name, count in now.items():
            totals[name] += count
        dut.i.value = pack_fields(layout, **now)
        await RisingEdge(dut.clk)
    dut.i.value = 0
    for name, total in totals.items():
        read = await bus.read(DMA_COUNTERS[name].address, 8)
        assert int.from_bytes(read.data, "little") == total, name
