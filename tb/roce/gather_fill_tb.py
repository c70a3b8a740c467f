"""cocotb testbench of hdl.roce.Gather: when it says that it is full."""

import cocotb
from cocotb.triggers import RisingEdge

from .gather_bed import CONFIG, DATA_BYTES
from .gather_tb import begin, random_packets, set_up, writes
from .gather_world import World

_MTU = 4096
#: As hdl/roce/gather.py has it: 5 beats for each byte of one, 128 at least.
_FULL_BYTES = max(128, 5 * DATA_BYTES) * DATA_BYTES
#: Packets that whoever waits for data may have in hand, and those that come until it is known.
_IN_HAND, _LATE = 2, 3


@cocotb.test(timeout_time=400, timeout_unit="us")
async def it_is_full_when_enough_waits_for_memory(dut):
    """Be full behind as many packets of 4 KiB as it says, not when all have left or failed."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world, latency=(600, 600))
    least = -(-_FULL_BYTES // _MTU)
    most = least + _IN_HAND + _LATE
    for bad in (0.0, 0.2):
        await bed.exchange(set_up(world, 4))
        await bed.exchange(random_packets(world, 8, bad=bad))
        assert not dut.is_full.value, "nothing is here"
        await bed.exchange(set_up(world, 8, mtu=_MTU))
        before = bed.packets.accepted
        task = cocotb.start_soon(bed.exchange(writes(world, most + 9, _MTU)))
        while not dut.is_full.value:
            await RisingEdge(dut.clk)
            assert not task.done(), "was never full"
        assert least <= bed.packets.accepted - before <= most
        await task
        assert not dut.is_full.value, "nothing is left"
