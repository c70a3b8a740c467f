"""cocotb testbench of hdl.pcie.Router."""

import os
import random
from collections import Counter, deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pcie.parts import RoutedBeatLayout
from hdl.pcie.route import RouteLayout
from sim.pcie import Bridge, Kind, RouterModel, Rule, Tlp

from .route_cases import (
    beats_of,
    bridge_to_int,
    random_bridges,
    random_tlp,
    route_to_int,
    segments_of,
)
from .segments import SEGMENT_WIDTH, changed, field_of, to_segments

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
PORT = int(os.environ["PORT"])
CONFIGURATIONS = int(os.environ["CONFIGURATIONS"])
LATENCY = 2
TLPS = 40  # with each configuration

_ROUTE = RouteLayout(PORT_COUNT)
_ROUTES_BASE = RoutedBeatLayout(PORT_COUNT, SEGMENT_COUNT)["routes"].offset

_FROM_ABOVE = {
    Rule.ADDRESS,
    Rule.BUS_NUMBER,
    Rule.CONFIGURATION,
    Rule.MESSAGE_BROADCAST,
    Rule.MESSAGE_LOCAL,
    Rule.NO_FUNCTION,
    Rule.NO_BUS,
    Rule.NO_DEVICE,
    Rule.MEMORY_DISABLED,
    Rule.OUTSIDE_WINDOW,
    Rule.UNCLAIMED,
    Rule.LINK_DOWN,
    Rule.NOT_SUPPORTED,
    Rule.UNEXPECTED_COMPLETION,
    Rule.MISROUTED_MESSAGE,
    Rule.INGRESS_PAYLOAD,
    Rule.EGRESS_PAYLOAD,
}
_TO_PEERS = {
    Rule.PEER_DIRECT,
    Rule.BUS_NUMBER,
    Rule.ACS_REQUEST_REDIRECT,
    Rule.ACS_EGRESS_REDIRECT,
    Rule.ACS_COMPLETION_REDIRECT,
    Rule.ACS_DIRECT_TRANSLATED,
    Rule.ACS_EGRESS_CONTROL,
}
_FROM_BELOW = {
    Rule.UPSTREAM,
    Rule.MESSAGE_TO_ROOT,
    Rule.ACS_UPSTREAM_FORWARD,
    Rule.MESSAGE_LOCAL,
    Rule.MESSAGE_GATHER,
    Rule.CONFIGURATION_FROM_BELOW,
    Rule.BUS_MASTER_DISABLED,
    Rule.UNCLAIMED,
    Rule.OWN_INGRESS,
    Rule.LINK_DOWN,
    Rule.NOT_SUPPORTED,
    Rule.UNEXPECTED_COMPLETION,
    Rule.MISROUTED_MESSAGE,
    Rule.ACS_SOURCE_VALIDATION,
    Rule.ACS_TRANSLATION_BLOCKING,
    Rule.INGRESS_PAYLOAD,
    Rule.EGRESS_PAYLOAD,
}


def reachable_rules() -> set[Rule]:
    """Rules that a TLP of this ingress port can meet."""
    if PORT == 0:
        return _FROM_ABOVE
    return _FROM_BELOW | _TO_PEERS if PORT_COUNT > 2 else _FROM_BELOW


class Checker:
    """Compares what comes out with what went in ``LATENCY`` cycles before and the model's routes.

    Attributes
    ----------
    seen : Counter of Rule
        How often each rule decided.
    """

    def __init__(self, dut):
        self.dut = dut
        self.model = RouterModel(PORT_COUNT)
        self.bridges: list[Bridge] = []
        self.sent: deque[Tlp] = deque()
        self.seen: Counter[Rule] = Counter()
        self.route = 0
        self._past = deque([0] * LATENCY)
        cocotb.start_soon(self._run())

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            if self.dut.rst.value:
                self._past = deque([0] * LATENCY)
                continue
            out = int(self.dut.o.value)
            self._past.append(int(self.dut.i.value))
            self._compare(self._past.popleft(), out)

    def _compare(self, before: int, after: int):
        lanes = zip(
            segments_of(before, SEGMENT_COUNT), segments_of(after, SEGMENT_COUNT), strict=True
        )
        for lane, (segment, routed) in enumerate(lanes):
            expected = segment
            route = after >> _ROUTES_BASE + lane * _ROUTE.size & (1 << _ROUTE.size) - 1
            if segment is None:
                assert routed is None, f"lane {lane} was idle"
                assert route == 0, f"idle lane {lane} has a route"
                continue
            if field_of(segment, "sop"):
                tlp = self.sent.popleft()
                decision = self.model.route(PORT, tlp, self.bridges)
                self.seen[decision.rule] += 1
                self.route = route_to_int(decision, PORT_COUNT)
                if decision.to_type_0:
                    expected = changed(segment, header__type=Kind.CONFIGURATION_0)
                text = f"{tlp}\n{self.bridges}\n{decision}"
                assert route == self.route, f"{_ROUTE.from_bits(route)} in lane {lane} for {text}"
            assert route == self.route, f"lane {lane} has another route than its TLP"
            assert routed == expected, f"the segment in lane {lane} changed"

    async def configure(self, bridges: list[Bridge]):
        """Set the configuration; nothing may be under way."""
        assert not self.sent
        self.bridges = bridges
        for port, bridge in enumerate(bridges):
            self.dut[f"bridges__{port}"].value = bridge_to_int(bridge, PORT_COUNT)

    async def play(self, tlps: list[Tlp], *, gap: float = 0.0, pause: float = 0.0):
        """Send ``tlps``, and wait until they have been compared."""
        self.sent.extend(tlps)
        for beat in beats_of(tlps, SEGMENT_COUNT, gap=gap, pause=pause):
            self.dut.i.value = beat
            await RisingEdge(self.dut.clk)
        self.dut.i.value = 0
        await ClockCycles(self.dut.clk, LATENCY + 1)
        assert not self.sent, "a TLP is missing"


async def begin(dut) -> Checker:
    """Start the clock, hold reset for two cycles, and watch."""
    dut.rst.value = 1
    dut.i.value = 0
    for port in range(PORT_COUNT):
        dut[f"bridges__{port}"].value = 0
    checker = Checker(dut)
    Clock(dut.clk, 2, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    return checker


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def routes_are_the_model_s(dut):
    """Every TLP goes where the model says and says why; each rule was among them."""
    checker = await begin(dut)
    for _ in range(CONFIGURATIONS):
        bridges = random_bridges(PORT_COUNT)
        await checker.configure(bridges)
        tlps = [random_tlp(PORT, bridges) for _ in range(TLPS)]
        await checker.play(tlps, gap=random.choice([0, 0.3]), pause=random.choice([0, 0.3]))
    dut._log.info("rules: %s", {rule.name: n for rule, n in sorted(checker.seen.items())})
    assert set(checker.seen) == reachable_rules()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_type_code_with_and_without_data(dut):
    """All 32 type codes, with and without payload, in one beat behind the other."""
    checker = await begin(dut)
    for _ in range(8):
        bridges = random_bridges(PORT_COUNT)
        await checker.configure(bridges)
        await checker.play(
            [
                random_tlp(PORT, bridges).with_changes(kind=kind, data=data)
                for kind in range(32)
                for data in (None, b"")
            ]
        )


@cocotb.test(timeout_time=200, timeout_unit="us")
async def after_reset_requests_are_refused(dut):
    """With all windows closed and no bus number nothing is forwarded down."""
    checker = await begin(dut)
    bridges = [Bridge(link_up=True) for _ in range(PORT_COUNT)]
    await checker.configure(bridges)
    await checker.play([random_tlp(PORT, random_bridges(PORT_COUNT)) for _ in range(800)])
    below = {Rule.MESSAGE_TO_ROOT, Rule.MESSAGE_LOCAL, Rule.MESSAGE_GATHER, Rule.UPSTREAM}
    above = {Rule.CONFIGURATION, Rule.MESSAGE_BROADCAST, Rule.MESSAGE_LOCAL}
    allowed = below if PORT else above
    served = {rule for rule in checker.seen if rule < Rule.CONFIGURATION_FROM_BELOW}
    assert served == allowed


@cocotb.test(timeout_time=200, timeout_unit="us")
async def long_tlps_keep_their_route(dut):
    """Over 128 segments and empty cycles, a TLP keeps its route."""
    checker = await begin(dut)
    bridges = random_bridges(PORT_COUNT)
    await checker.configure(bridges)
    for pause in (0, 0.5):
        for _ in range(4):
            tlps = [random_tlp(PORT, bridges) for _ in range(3)]
            lanes = [
                changed(lane, sop=n == 0, eop=n == 127)
                for tlp in tlps
                for n, lane in enumerate([*to_segments(tlp), *[0] * 127])
            ]
            checker.sent.extend(tlps)
            while lanes:
                beat = 0
                if random.random() >= pause:
                    for lane in range(SEGMENT_COUNT):
                        beat |= lanes.pop(0) << SEGMENT_COUNT + lane * SEGMENT_WIDTH | 1 << lane
                dut.i.value = beat
                await RisingEdge(dut.clk)
            dut.i.value = 0
            await ClockCycles(dut.clk, LATENCY + 1)
            assert not checker.sent


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_within_a_tlp_forgets_it(dut):
    """After a reset in mid-TLP nothing comes out, and the next TLPs have their own routes."""
    checker = await begin(dut)
    for _ in range(10):
        bridges = random_bridges(PORT_COUNT)
        await checker.configure(bridges)
        tlps = [random_tlp(PORT, bridges) for _ in range(20)]
        checker.sent.extend(tlps)
        beats = beats_of(tlps, SEGMENT_COUNT, gap=0, pause=0)
        for _ in range(random.randint(2, 5)):
            dut.i.value = next(beats)
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        dut.i.value = 0
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        checker.sent.clear()
        await ClockCycles(dut.clk, 1)
        assert int(dut.o.value) & (1 << SEGMENT_COUNT) - 1 == 0
        await checker.play([random_tlp(PORT, bridges) for _ in range(10)])
