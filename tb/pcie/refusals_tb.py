"""cocotb testbench of hdl.pcie.Refusals."""

import os
import random
from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import CreditAmountsLayout, ErrorEventsLayout, RoutedBeatLayout
from hdl.pcie.refusals import DROPPED_DATA_BITS, DROPPED_HEADER_BITS
from hdl.pcie.route import RouteLayout
from hdl.pcie.tlp import TlpHeaderLayout
from sim.pcie import Decision, Kind, RouterModel, Tlp
from sim.pcie.refusals import refusals

from .route_cases import random_bridges, random_tlp
from .segments import SEGMENT_WIDTH, changed, header_to_int, to_segments

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
LATENCY = 2
BEATS = 3000

_ROUTE = RouteLayout(PORT_COUNT)
_ROUTES_BASE = RoutedBeatLayout(PORT_COUNT, SEGMENT_COUNT)["routes"].offset
_EVENTS = ErrorEventsLayout()
_STROBES = [name for name in _EVENTS.members if name not in ("header", "posted")]
_DROPPED = CreditAmountsLayout(DROPPED_HEADER_BITS, DROPPED_DATA_BITS)


def _route(decision: Decision) -> int:
    fields: dict[Any, Any] = {
        "egress": 0 if decision.egress is None else 1 << decision.egress,
        "local": decision.local,
    }
    value = _ROUTE.const(fields).as_value().value
    rule, action = _ROUTE["rule"].offset, _ROUTE["action"].offset
    return value | decision.rule << rule | decision.action << action


def _beat(port: int) -> tuple[int, list[tuple[Tlp, Decision]]]:
    """Beat with TLPs that begin in some lanes, and what the router said of them."""
    bridges = random_bridges(PORT_COUNT)
    value, decided = random.getrandbits(SEGMENT_COUNT * SEGMENT_WIDTH) << SEGMENT_COUNT, []
    for lane in range(SEGMENT_COUNT):
        route = random.getrandbits(_ROUTE.size)
        kind = random.choice(["begins", "begins", "goes on", "idle"])
        if kind != "idle":
            value |= 1 << lane
        tlp = random_tlp(port, bridges)
        if random.random() < 0.1:
            code = random.choice([0x30, 0x31, 0x32, 0x33])
            sender = random.getrandbits(16)
            tlp = Tlp(Kind.MESSAGE_TO_ROOT, four_dwords=True, code=code, requester=sender)
        segment = changed(to_segments(tlp)[0], sop=kind == "begins")
        if kind == "begins":
            decision = RouterModel(PORT_COUNT).route(port, tlp, bridges)
            decided.append((tlp, decision))
            route = _route(decision)
        offset = SEGMENT_COUNT + lane * SEGMENT_WIDTH
        value &= ~((1 << SEGMENT_WIDTH) - 1 << offset)
        value |= segment << offset | route << _ROUTES_BASE + lane * _ROUTE.size
    return value, decided


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def events_and_credits_are_the_models(dut):
    """Of each beat, the errors, the first TLP in error, and the credits that are free."""
    Clock(dut.clk, 2, unit="ns").start()
    dut.i.value = 0
    dut.rst.value = 1
    edge = RisingEdge(dut.clk)
    for _ in range(4):
        await edge
    dut.rst.value = 0
    seen: Counter[str] = Counter()
    past: deque[list[tuple[Tlp, Decision]]] = deque([[]] * LATENCY)
    for _ in range(BEATS):
        value, decided = _beat(random.randrange(PORT_COUNT))
        dut.i.value = value
        past.append(decided)
        await edge
        expected = refusals(past.popleft())
        events = _EVENTS.from_bits(int(dut.events.value))
        assert {name for name in _STROBES if events[name]} == expected.events
        seen.update(expected.events)
        if expected.first is not None:
            first = expected.first
            assert int(dut.events.value) >> _EVENTS["header"].offset & (
                (1 << TlpHeaderLayout().size) - 1
            ) == header_to_int(first)
            assert events["posted"] == (first.tlp_class == 0)
        dropped = _DROPPED.from_bits(int(dut.dropped.value))
        found = [[each["headers"], each["data"]] for each in dropped]
        assert found == expected.dropped
        seen["dropped"] += any(map(any, found))
    # `aborted` and `overflow` are not the router's to find.
    assert {*seen} == {*_STROBES, "dropped"} - {"aborted", "overflow"}, seen
