"""cocotb testbench of hdl.pcie.RouteCounter."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pcie.parts import RoutedBeatLayout
from hdl.pcie.route import RouteLayout
from hdl.pcie.route_counter import RouteCountsLayout
from sim.pcie import RouterModel, count_routes

from .route_cases import beats_of, random_bridges, random_tlp, route_to_int, segments_of
from .segments import field_of

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])

_ROUTE_BITS = RouteLayout(PORT_COUNT).size
_ROUTES_BASE = RoutedBeatLayout(PORT_COUNT, SEGMENT_COUNT)["routes"].offset


@cocotb.test(timeout_time=200, timeout_unit="us")
async def counts_are_the_model_s(dut):
    """In each cycle the counts are those of the TLPs that began in the beat before."""
    model = RouterModel(PORT_COUNT)
    layout = RouteCountsLayout(SEGMENT_COUNT)
    dut.rst.value = 1
    Clock(dut.clk, 2, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    total = count_routes([])
    for _ in range(30):
        bridges = random_bridges(PORT_COUNT)
        port = random.randrange(PORT_COUNT)
        tlps = [random_tlp(port, bridges) for _ in range(30)]
        decisions = iter([model.route(port, tlp, bridges) for tlp in tlps])
        before = count_routes([])
        for beat in [*beats_of(tlps, SEGMENT_COUNT, gap=0.2, pause=0.2), 0]:
            own = []
            routed = beat
            for lane, segment in enumerate(segments_of(beat, SEGMENT_COUNT)):
                route = random.getrandbits(_ROUTE_BITS)
                if segment is not None and field_of(segment, "sop"):
                    own.append(next(decisions))
                    route = route_to_int(own[-1], PORT_COUNT)
                routed |= route << _ROUTES_BASE + lane * _ROUTE_BITS
            dut.i.value = routed
            await RisingEdge(dut.clk)
            counts = int(dut.counts.value)
            for name, field in layout:
                found = counts >> field.offset & (1 << field.width) - 1
                assert found == before[name], f"{name} of {before}"
            before = count_routes(own)
            total += before
        await RisingEdge(dut.clk)
    assert all(total[name] for name, _ in layout), "something never happened"
