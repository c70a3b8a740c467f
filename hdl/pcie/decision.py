"""Second half of routing: the rules of the switch, in the order in which they apply."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .claims import ClaimsLayout
from .route import BridgeLayout, RouteLayout, check_ports
from .rules import Action, Rule
from .tlp import TlpClass, TlpHeaderLayout, TlpType, class_of

__all__ = ["Decision"]

#: Address type field (2.2.4.1): an address that the root complex has translated before.
_TRANSLATED = 2


class Decision(wiring.Component):
    """Decide what becomes of a TLP, and why.

    The rules, as ``docs/pcie-switch.md`` numbers them: first a destination is chosen, by the kind
    of TLP; last it is asked whether the destination can be reached. What is refused gets an
    answer if it is a non-posted request; posted requests, completions and what is malformed are
    dropped, which is an action without ``egress`` and ``local``.

    Combinational: latency is 0 cycles.

    Specification: PCI Express Base Specification, 2.2 (rules of each kind of TLP), 2.3 (handling
    of received TLPs), 6.12 (Access Control Services), 7.5.1.3 (Type 1 header).

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8; port 0 is the upstream port.
    port : int
        Ingress port.

    Members
    -------
    header : In(TlpHeaderLayout())
        Of the TLP.
    claims : In(ClaimsLayout(port_count))
        Of the same TLP.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Configuration of every port.
    route : Out(RouteLayout(port_count))
        Combinational.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    header: data.View
    claims: data.View
    bridges: list[data.View]
    route: data.View

    def __init__(self, *, port_count: int, port: int):
        check_ports(port_count, port)
        self.port_count = port_count
        self.port = port
        super().__init__(
            {
                "header": In(TlpHeaderLayout()),
                "claims": In(ClaimsLayout(port_count)),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "route": Out(RouteLayout(port_count)),
            }
        )
        # The destination chosen by rules 0 to 4, before rule 5 asks whether it can be reached.
        self._chosen = Signal(RouteLayout(port_count), name="chosen")
        self._malformed = Signal(name="malformed")

    def elaborate(self, platform):
        m = Module()
        from_above = self.port == 0
        kind = self.header.type

        with m.If(self.claims.exceeds[self.port]):  # rule 0
            self._refuse(m, Rule.INGRESS_PAYLOAD)
            m.d.comb += self._malformed.eq(1)
        with m.Else(), m.Switch(kind):
            with m.Case(TlpType.COMPLETION, TlpType.COMPLETION_LOCKED):  # rule 1
                self._completion(m)
            with m.Case(TlpType.CONFIGURATION_0, TlpType.CONFIGURATION_1):  # rule 2
                if from_above:
                    self._configuration(m)
                else:
                    self._refuse(m, Rule.CONFIGURATION_FROM_BELOW)
            with m.Case(  # rule 3
                TlpType.MEMORY, TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_AND_SWAP
            ):
                if from_above:
                    self._memory_from_above(m)
                else:
                    self._memory_from_below(m)
            with m.Case("10---"):  # rule 4
                self._message(m)
            with m.Default():
                self._refuse(m, Rule.NOT_SUPPORTED)

        self._reach(m)  # rule 5
        return m

    # Outcomes.

    def _forward(self, m: Module, egress: Value | int, rule: Rule) -> None:
        m.d.comb += [
            self._chosen.egress.eq(egress),
            self._chosen.action.eq(Action.FORWARD),
            self._chosen.rule.eq(rule),
        ]

    def _forward_up(self, m: Module, rule: Rule) -> None:
        self._forward(m, 1, rule)

    def _serve(self, m: Module, rule: Rule) -> None:
        m.d.comb += [
            self._chosen.local.eq(1),
            self._chosen.action.eq(Action.LOCAL),
            self._chosen.rule.eq(rule),
        ]

    def _refuse(self, m: Module, rule: Rule, action: Action = Action.UNSUPPORTED) -> None:
        m.d.comb += [self._chosen.action.eq(action), self._chosen.rule.eq(rule)]

    # Rule 1.

    def _completion(self, m: Module) -> None:
        """Completions go by the requester's bus number (2.2.9)."""
        acs = self.bridges[self.port].acs
        owner = self.claims.bus_owner
        if self.port == 0:
            with m.If(owner.any()):
                self._forward(m, owner, Rule.BUS_NUMBER)
            with m.Else():
                self._refuse(m, Rule.UNEXPECTED_COMPLETION)
            return
        with m.If(owner[self.port]):
            with m.If(acs.upstream_forwarding):
                self._forward_up(m, Rule.ACS_UPSTREAM_FORWARD)
            with m.Else():
                self._refuse(m, Rule.OWN_INGRESS)
        with m.Elif(owner.any()):
            # Relaxed ones may take another way than the posted requests before them (6.12.1.1).
            relaxed = self.header.attributes.relaxed_ordering
            with m.If(acs.completion_redirect & ~relaxed):
                self._forward_up(m, Rule.ACS_COMPLETION_REDIRECT)
            with m.Else():
                self._forward(m, owner, Rule.BUS_NUMBER)
        with m.Elif(self.claims.bus_inside | self.claims.to_upstream_port):
            self._refuse(m, Rule.UNEXPECTED_COMPLETION)
        with m.Else():
            self._forward_up(m, Rule.UPSTREAM)

    # Rule 2.

    def _configuration(self, m: Module) -> None:
        """Type 0 is for the upstream port, Type 1 for what is behind it (7.3.3)."""
        target = self.header.specific.configuration.target
        function, device = target[:3], target[3:8]
        owner = self.claims.bus_owner
        with m.If(self.header.type == TlpType.CONFIGURATION_0):
            with m.If(function == 0):
                self._serve(m, Rule.CONFIGURATION)
            with m.Else():
                self._refuse(m, Rule.NO_FUNCTION)
        with m.Elif(self.claims.bus_is_internal):
            # Downstream port k is device k - 1 of the internal bus.
            with m.If((function == 0) & (device <= self.port_count - 2)):
                self._serve(m, Rule.CONFIGURATION)
                m.d.comb += self._chosen.function.eq(device[:3] + 1)
            with m.Else():
                self._refuse(m, Rule.NO_FUNCTION)
        with m.Elif(owner.any() & self.claims.bus_inside):
            ari = Cat(bridge.ari_forwarding for bridge in self.bridges)
            with m.If(~self.claims.bus_is_link):
                self._forward(m, owner, Rule.BUS_NUMBER)
            with m.Elif((device != 0) & ~(owner & ari).any()):
                self._refuse(m, Rule.NO_DEVICE)
            with m.Else():
                self._forward(m, owner, Rule.BUS_NUMBER)
                m.d.comb += self._chosen.to_type_0.eq(1)
        with m.Else():
            self._refuse(m, Rule.NO_BUS)

    # Rule 3.

    def _memory_from_above(self, m: Module) -> None:
        """Memory requests and atomics of the host: through both bridges' windows."""
        owner = self.claims.address_owner
        with m.If(~self.bridges[0].memory_enable):
            self._refuse(m, Rule.MEMORY_DISABLED)
        with m.Elif(~self.claims.address_inside):
            self._refuse(m, Rule.OUTSIDE_WINDOW)
        with m.Elif(owner.any()):
            self._forward(m, owner, Rule.ADDRESS)
        with m.Else():
            self._refuse(m, Rule.UNCLAIMED)

    def _memory_from_below(self, m: Module) -> None:
        """Memory requests and atomics of a device: to a peer, or up, as ACS allows (6.12.1.1)."""
        acs = self.bridges[self.port].acs
        upstream = self.bridges[0]
        owner = self.claims.address_owner
        at = self.header.at
        blocked = Signal()
        m.d.comb += blocked.eq(acs.egress_control & (owner & acs.egress_vector).any())

        with m.If(~self.bridges[self.port].bus_master_enable):
            self._refuse(m, Rule.BUS_MASTER_DISABLED)
        with m.Elif(acs.source_validation & ~self.claims.requester_behind):
            self._refuse(m, Rule.ACS_SOURCE_VALIDATION, Action.ABORT)
        with m.Elif(acs.translation_blocking & (at != 0)):
            self._refuse(m, Rule.ACS_TRANSLATION_BLOCKING, Action.ABORT)

        # Its target is behind the port that it came from: nothing turns back by itself.
        with m.Elif(owner[self.port]):
            with m.If(acs.upstream_forwarding):
                self._memory_up(m, Rule.ACS_UPSTREAM_FORWARD)
            with m.Else():
                self._refuse(m, Rule.OWN_INGRESS)

        # It is behind another downstream port, a peer.
        with m.Elif(owner.any()):
            with m.If(acs.direct_translated & (at == _TRANSLATED)):
                self._forward(m, owner, Rule.ACS_DIRECT_TRANSLATED)
            with m.Elif(blocked):
                with m.If(acs.request_redirect):
                    self._memory_up(m, Rule.ACS_EGRESS_REDIRECT)
                with m.Else():
                    self._refuse(m, Rule.ACS_EGRESS_CONTROL, Action.ABORT)
            with m.Elif(acs.request_redirect & ~acs.egress_control):
                self._memory_up(m, Rule.ACS_REQUEST_REDIRECT)
            with m.Else():
                self._forward(m, owner, Rule.PEER_DIRECT)

        # No downstream port has it. In the upstream port's windows it would come back.
        with m.Elif(upstream.memory_enable & self.claims.address_inside):
            self._refuse(m, Rule.UNCLAIMED)
        with m.Else():
            self._memory_up(m, Rule.UPSTREAM)

    def _memory_up(self, m: Module, rule: Rule) -> None:
        with m.If(self.bridges[0].bus_master_enable):
            self._forward_up(m, rule)
        with m.Else():
            self._refuse(m, Rule.BUS_MASTER_DISABLED)

    # Rule 4.

    def _message(self, m: Module) -> None:
        """Messages go by the routing that their type field names (2.2.8)."""
        from_above = self.port == 0
        kind = self.header.type
        acs = self.bridges[self.port].acs

        # Those that end here, INTx among them, name no requester that could be forged.
        forged = Signal()
        if not from_above:
            m.d.comb += forged.eq(acs.source_validation & ~self.claims.requester_behind)

        with m.If(kind == TlpType.MESSAGE_LOCAL):
            self._serve(m, Rule.MESSAGE_LOCAL)
        with m.Elif(forged):
            self._refuse(m, Rule.ACS_SOURCE_VALIDATION, Action.ABORT)
        with m.Elif(kind == TlpType.MESSAGE_BY_ID):
            self._message_by_id(m)
        if from_above:
            with m.Elif((kind == TlpType.MESSAGE_BROADCAST) & ~self.header.has_data):
                self._serve(m, Rule.MESSAGE_BROADCAST)
                m.d.comb += self._chosen.egress.eq((1 << self.port_count) - 2)
        else:
            with m.Elif(kind == TlpType.MESSAGE_TO_ROOT):
                self._forward_up(m, Rule.MESSAGE_TO_ROOT)
            with m.Elif(kind == TlpType.MESSAGE_GATHER):
                self._serve(m, Rule.MESSAGE_GATHER)
        with m.Else():
            self._refuse(m, Rule.MISROUTED_MESSAGE)

    def _message_by_id(self, m: Module) -> None:
        """Like a completion, but that no redirection applies."""
        owner = self.claims.bus_owner
        if self.port == 0:
            with m.If(owner.any()):
                self._forward(m, owner, Rule.BUS_NUMBER)
            with m.Else():
                self._refuse(m, Rule.MISROUTED_MESSAGE)
            return
        with m.If(owner[self.port]):
            with m.If(self.bridges[self.port].acs.upstream_forwarding):
                self._forward_up(m, Rule.ACS_UPSTREAM_FORWARD)
            with m.Else():
                self._refuse(m, Rule.OWN_INGRESS)
        with m.Elif(owner.any()):
            self._forward(m, owner, Rule.BUS_NUMBER)
        with m.Elif(self.claims.bus_inside | self.claims.to_upstream_port):
            self._refuse(m, Rule.MISROUTED_MESSAGE)
        with m.Else():
            self._forward_up(m, Rule.UPSTREAM)

    # Rule 5.

    def _reach(self, m: Module) -> None:
        """Refuse what the egress port cannot send; say which of the refused gets an answer."""
        egress = self._chosen.egress
        link_up = Cat(bridge.link_up for bridge in self.bridges)
        dead = Signal()
        too_large = Signal()
        m.d.comb += [
            # A copy of a broadcast for a port without link is dropped there; the others leave.
            dead.eq((egress & ~link_up).any() & ~self._chosen.local),
            too_large.eq((egress & self.claims.exceeds).any()),
            self.route.eq(self._chosen),
        ]
        with m.If(dead | too_large):
            m.d.comb += [
                self.route.egress.eq(0),
                self.route.to_type_0.eq(0),
                self.route.action.eq(Action.UNSUPPORTED),
                self.route.rule.eq(Mux(dead, Rule.LINK_DOWN, Rule.EGRESS_PAYLOAD)),
            ]

        refused = Signal()
        malformed = Signal()
        m.d.comb += [
            refused.eq(
                (self.route.action == Action.UNSUPPORTED) | (self.route.action == Action.ABORT)
            ),
            malformed.eq(self._malformed | (too_large & ~dead)),
        ]
        with m.If(refused & ~malformed & (class_of(self.header) == TlpClass.NON_POSTED)):
            m.d.comb += self.route.local.eq(1)
