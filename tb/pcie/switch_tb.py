"""cocotb testbench of hdl.pcie.Switch: random traffic of all kinds, between all ports.

Environment: ``PORTS``, ``SEGMENTS``, and ``TLPS``, how many TLPs are sent.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Rule

from ..stream.stream_port import chance
from .observed_bed import ObservedBed
from .route_cases import random_bridges
from .switch_bed import UNEVEN, random_limits, starve_at_random
from .traffic import random_traffic

PORTS = int(os.environ["PORTS"])
SEGMENTS = int(os.environ["SEGMENTS"])
TLPS = int(os.environ["TLPS"])
PER_CONFIGURATION = 500
LONGEST = 128  # DW: what the ports can be set to


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def every_tlp_ends_where_the_model_says(dut):
    """All types, inside and outside of windows, with any ACS settings and starved of credits."""
    bed = ObservedBed(
        dut,
        PORTS,
        SEGMENTS,
        limits=random_limits,
        gap=chance(0.1),
        **UNEVEN,
    )
    await bed.start()
    starving = None
    for _ in range(max(1, TLPS // PER_CONFIGURATION)):
        await bed.configure(random_bridges(PORTS))
        starving = starve_at_random(bed.ports, dut)
        for _ in range(PER_CONFIGURATION):
            port = random.randrange(PORTS)
            bed.send(port, random_traffic(port, bed.model.bridges, LONGEST))
        while not all(port.idle for port in bed.ports):
            await ClockCycles(dut.clk, 50)
        starving.cancel()
        await bed.drain()
    assert bed.recorded > TLPS // 2
    assert bed.rules[Rule.MESSAGE_BROADCAST] > TLPS // 200
    await bed.check_counters()
    dut._log.info("rules met: %s", {rule.name: n for rule, n in bed.rules.items()})
