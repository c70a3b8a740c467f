"""Proofs of hdl.pcie.Router, for every header and every configuration."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.pcie import Router
from hdl.pcie.parts import RoutedBeatLayout
from hdl.pcie.route import BridgeLayout, RouteLayout
from hdl.pcie.rules import Action, Rule
from hdl.pcie.tlp import TlpBeatLayout, TlpClass, TlpType, class_of, payload_dwords
from tb.prove import Proof

__all__ = ["PROOFS"]

PORT_COUNT = 3
_REQUESTS = (TlpType.MEMORY, TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_AND_SWAP)


class _Harness(wiring.Component):
    """A router with a configuration that stays, in front of any beats at all."""

    i: data.View
    bridges: list[data.View]
    o: data.View

    def __init__(self, *, port: int, segment_count: int = 1):
        self.port = port
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(TlpBeatLayout(segment_count)),
                "bridges": In(BridgeLayout(PORT_COUNT)).array(PORT_COUNT),
                "o": Out(RoutedBeatLayout(PORT_COUNT, segment_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.router = self.router = Router(
            port_count=PORT_COUNT, segment_count=self.segment_count, port=self.port
        )
        m.d.comb += [self.router.i.eq(self.i), self.o.eq(self.router.o)]
        started = Signal()
        m.d.sync += started.eq(1)
        for number, (inner, outer) in enumerate(
            zip(self.router.bridges, self.bridges, strict=True)
        ):
            before = Signal.like(outer, name=f"before_{number}")
            m.d.comb += inner.eq(outer)
            m.d.sync += before.eq(outer)
            with m.If(started):
                m.d.comb += Assume(Value.cast(outer) == Value.cast(before), "quasi-static")

        # Only a TLP's first lane has its header; what follows has its route, which is proved too.
        segment = self.o.beat.segments[0]
        self.begins = self.o.beat.valid[0] & segment.sop
        self.header = segment.header
        self.route = self.o.routes[0]
        with m.If(~ResetSignal()):
            self.state(m)
        return m

    def state(self, m: Module) -> None:
        """Add what is proved."""
        raise NotImplementedError


class _NoLoop(_Harness):
    """Nothing leaves by its own ingress port, by two ports, or by one whose link is down.

    But for a broadcast from the root, which is served, and goes to all downstream ports.
    """

    def state(self, m):
        link_up = Cat(bridge.link_up for bridge in self.bridges)
        route = self.route
        forwarded = route.action == Action.FORWARD
        is_broadcast = (
            C(self.port == 0)
            & (self.header.type == TlpType.MESSAGE_BROADCAST)
            & ~self.header.has_data
        )
        with m.If(self.begins):
            m.d.comb += [
                Assert(~route.egress[self.port], "out of its own ingress"),
                Assert(~(forwarded & route.local), "forwarded and served as well"),
            ]
        with m.If(self.begins & ~is_broadcast):
            m.d.comb += [
                Assert((route.egress & (route.egress - 1)) == 0, "out of two ports"),
                Assert(forwarded == route.egress.any(), "an action that contradicts the egress"),
                Assert((route.egress & ~link_up) == 0, "out of a port that is down"),
                Assert(route.rule != Rule.MESSAGE_BROADCAST, "no broadcast"),
            ]
        with m.If(self.begins & is_broadcast):
            m.d.comb += [
                Assert(route.egress == (1 << PORT_COUNT) - 2, "not to all"),
                Assert(route.local & (route.action == Action.LOCAL), "a broadcast not served"),
                Assert(route.rule == Rule.MESSAGE_BROADCAST, "a broadcast by another rule"),
            ]


class _Answered(_Harness):
    """A non-posted request is forwarded or answered, and nothing else is answered.

    Only what is malformed vanishes: a payload that exceeds some Max_Payload_Size, so at least
    128 bytes.
    """

    def state(self, m):
        route = self.route
        flow_class = class_of(self.header)
        malformed = payload_dwords(self.header) > 32
        refused = (route.action == Action.UNSUPPORTED) | (route.action == Action.ABORT)
        with m.If(self.begins & (flow_class == TlpClass.NON_POSTED) & ~malformed):
            m.d.comb += Assert(route.egress.any() ^ route.local, "a request vanishes")
        with m.If(self.begins & (flow_class != TlpClass.NON_POSTED)):
            m.d.comb += Assert(~(refused & route.local), "an answer to what was no request")
        with m.If(self.begins & (flow_class == TlpClass.COMPLETION)):
            m.d.comb += Assert(~route.local, "a completion for the switch, which asks nothing")


class _FromBelow(_Harness):
    """What a device may not do: forge its requester, configure, or reach a peer past ACS."""

    def state(self, m):
        header, route = self.header, self.route
        own = self.bridges[self.port]
        bus = header.requester[8:]
        is_request = header.type.matches(*_REQUESTS)
        is_message = Value.cast(header.type)[3:5] == 0b10
        is_configuration = header.type.matches(TlpType.CONFIGURATION_0, TlpType.CONFIGURATION_1)
        forwarded = self.begins & route.egress.any()
        with m.If(forwarded & own.acs.source_validation & (is_request | is_message)):
            m.d.comb += Assert(
                (own.secondary <= bus) & (bus <= own.subordinate), "a forged requester"
            )
        m.d.comb += Assert(~(forwarded & is_configuration), "a device configures")
        with m.If(forwarded & is_request):
            m.d.comb += Assert(own.bus_master_enable, "a request of no bus master")
            with m.If(own.acs.translation_blocking):
                m.d.comb += Assert(header.at == 0, "a translated address")
            translated = own.acs.direct_translated & (header.at == 2)
            with m.If(own.acs.request_redirect & ~own.acs.egress_control & ~translated):
                m.d.comb += Assert(route.egress == 1, "to a peer though redirected")
            with m.If(own.acs.egress_control & ~translated):
                m.d.comb += Assert(
                    (route.egress[1:] & own.acs.egress_vector[1:]) == 0, "to a blocked peer"
                )


class _Continues(_Harness):
    """Lanes that continue a TLP have the route of the lane before, across beats as well."""

    def state(self, m):
        last = Signal(RouteLayout(PORT_COUNT))
        started = Signal()
        routes = [Value.cast(self.o.routes[lane]) for lane in range(self.segment_count)]
        with m.If(self.o.beat.valid.any()):
            m.d.sync += [Value.cast(last).eq(routes[-1]), started.eq(1)]
        for lane, route in enumerate(routes):
            continues = self.o.beat.valid[lane] & ~self.o.beat.segments[lane].sop
            before = routes[lane - 1] if lane else Value.cast(last)
            has_before = self.o.beat.valid[lane - 1] if lane else started
            m.d.comb += [
                Assert(~(continues & has_before) | (route == before), "another route"),
                Assert(self.o.beat.valid[lane] | (route == 0), "an idle lane with a route"),
            ]
        # What ties the state to what was seen, so that induction has a start.
        seen = Mux(self.o.beat.valid.any(), routes[-1], last)
        with m.If(started | self.o.beat.valid.any()):
            m.d.comb += Assert(Value.cast(self.router.carried) == seen, "carried unseen")


class _EveryRule(_Harness):
    """Each rule that is for the ingress port decides about some TLP."""

    def __init__(self, *, port: int, rules: tuple[Rule, ...]):
        super().__init__(port=port)
        self.rules = rules

    def state(self, m):
        for rule in self.rules:
            m.d.comb += Cover(self.begins & (self.route.rule == rule), f"{rule.name} decides")


_ANYWHERE = (
    Rule.BUS_NUMBER,
    Rule.MESSAGE_LOCAL,
    Rule.UNCLAIMED,
    Rule.LINK_DOWN,
    Rule.NOT_SUPPORTED,
    Rule.UNEXPECTED_COMPLETION,
    Rule.MISROUTED_MESSAGE,
    Rule.INGRESS_PAYLOAD,
    Rule.EGRESS_PAYLOAD,
)
_ABOVE = (
    Rule.ADDRESS,
    Rule.CONFIGURATION,
    Rule.MESSAGE_BROADCAST,
    Rule.NO_FUNCTION,
    Rule.NO_BUS,
    Rule.NO_DEVICE,
    Rule.MEMORY_DISABLED,
    Rule.OUTSIDE_WINDOW,
)
_BELOW = (
    Rule.UPSTREAM,
    Rule.PEER_DIRECT,
    Rule.MESSAGE_TO_ROOT,
    Rule.ACS_REQUEST_REDIRECT,
    Rule.ACS_EGRESS_REDIRECT,
    Rule.ACS_COMPLETION_REDIRECT,
    Rule.ACS_UPSTREAM_FORWARD,
    Rule.ACS_DIRECT_TRANSLATED,
    Rule.MESSAGE_GATHER,
    Rule.CONFIGURATION_FROM_BELOW,
    Rule.BUS_MASTER_DISABLED,
    Rule.OWN_INGRESS,
    Rule.ACS_SOURCE_VALIDATION,
    Rule.ACS_TRANSLATION_BLOCKING,
    Rule.ACS_EGRESS_CONTROL,
)

PROOFS = [
    *(
        Proof(
            f"pcie.Router/{name}, from port {port}",
            lambda harness=harness, port=port: harness(port=port),
            depth=4,
        )
        for name, harness in (("no loop", _NoLoop), ("requests are answered", _Answered))
        for port in (0, 1)
    ),
    Proof("pcie.Router/a device stays within its rights", lambda: _FromBelow(port=1), depth=4),
    Proof("pcie.Router/a TLP has one route", lambda: _Continues(port=1, segment_count=2), depth=4),
    *(
        Proof(
            f"pcie.Router/every rule decides, from port {port}",
            lambda port=port, rules=rules: _EveryRule(port=port, rules=rules),
            depth=4,
            mode="cover",
        )
        for port, rules in ((0, _ANYWHERE + _ABOVE), (1, _ANYWHERE + _BELOW))
    ),
]
