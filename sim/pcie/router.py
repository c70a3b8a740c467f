"""Golden model of hdl.pcie.Router: where a TLP goes, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from .rules import Action, Rule
from .tlp import Kind, Tlp, TlpClass

__all__ = ["UPSTREAM", "Acs", "Bridge", "Decision", "RouterModel"]

#: Number of the upstream port.
UPSTREAM = 0

_ATOMICS = (Kind.FETCH_ADD, Kind.SWAP, Kind.COMPARE_AND_SWAP)


@dataclass(frozen=True)
class Acs:
    """ACS Control, and the egress control vector: bit n blocks requests to port n."""

    source_validation: bool = False
    translation_blocking: bool = False
    request_redirect: bool = False
    completion_redirect: bool = False
    upstream_forwarding: bool = False
    egress_control: bool = False
    direct_translated: bool = False
    egress_vector: int = 0


@dataclass(frozen=True)
class Bridge:
    """What a port's configuration decides about TLPs; by default that after reset.

    Bases and limits are address bits 31:20 (memory) and 63:20 (prefetchable) of the first and the
    last megabyte. ``max_payload`` is 128 bytes shifted left by it.
    """

    bus: int = 0
    device: int = 0
    secondary: int = 0
    subordinate: int = 0
    memory_base: int = 0xFFF
    memory_limit: int = 0
    prefetchable_base: int = (1 << 44) - 1
    prefetchable_limit: int = 0
    memory_enable: bool = False
    bus_master_enable: bool = False
    ari_forwarding: bool = False
    max_payload: int = 0
    link_up: bool = False
    acs: Acs = Acs()

    @property
    def identifier(self) -> int:
        """ID of the port's own function."""
        return self.bus << 8 | self.device << 3

    @property
    def max_payload_bytes(self) -> int:
        """Most that a TLP may carry; the reserved codes mean the most there is."""
        return 128 << min(self.max_payload, 5)

    def claims_bus(self, bus: int) -> bool:
        """Whether ``bus`` is behind the port."""
        return self.secondary != 0 and self.secondary <= bus <= self.subordinate

    def holds_address(self, address: int) -> bool:
        """Whether ``address`` is in one of the windows."""
        megabyte = address >> 20
        in_memory = address < 1 << 32 and self.memory_base <= megabyte <= self.memory_limit
        return in_memory or self.prefetchable_base <= megabyte <= self.prefetchable_limit

    def claims_address(self, address: int) -> bool:
        """Whether requests from above for ``address`` go through the port."""
        return self.memory_enable and self.holds_address(address)


@dataclass(frozen=True)
class Decision:
    """What becomes of a TLP.

    Parameters
    ----------
    egress : int or None
        Port it leaves by, with Action.FORWARD.
    local : bool
        The switch itself serves or answers it; otherwise a refused TLP is dropped.
    function : int
        Port whose function a configuration request means.
    to_type_0 : bool
        Leaves as Configuration Type 0.
    copies : tuple of int
        Ports to whose queues a broadcast goes, with Action.LOCAL.
    """

    action: Action
    rule: Rule
    egress: int | None = None
    local: bool = False
    function: int = 0
    to_type_0: bool = False
    copies: tuple[int, ...] = ()


class RouterModel:
    """Decides about TLPs; has no state.

    Parameters
    ----------
    port_count : int
        The upstream port, 0, and the downstream ports, 1 and up.

    Raises
    ------
    ValueError
        If there are not 2 to 8 ports.
    """

    def __init__(self, port_count: int):
        if not 2 <= port_count <= 8:
            raise ValueError(f"port_count must be 2 to 8, not {port_count!r}")
        self.port_count = port_count

    def route(self, ingress: int, tlp: Tlp, bridges: Sequence[Bridge]) -> Decision:
        """Decide about ``tlp``, well formed and received by ``ingress``."""
        if tlp.data is not None and 4 * tlp.length > bridges[ingress].max_payload_bytes:
            return _drop(Rule.INGRESS_PAYLOAD)
        if tlp.is_completion:
            decision = self._completion(ingress, tlp, bridges)
        elif tlp.kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
            decision = self._configuration(ingress, tlp, bridges)
        elif tlp.is_message:
            decision = self._message(ingress, tlp, bridges)
        elif tlp.kind == Kind.MEMORY or tlp.kind in _ATOMICS:
            decision = self._memory(ingress, tlp, bridges)
        else:
            decision = _refuse(tlp, Rule.NOT_SUPPORTED)
        if decision.egress is None:
            return decision
        egress = bridges[decision.egress]
        if not egress.link_up:
            return _refuse(tlp, Rule.LINK_DOWN)
        if tlp.data is not None and 4 * tlp.length > egress.max_payload_bytes:
            return _drop(Rule.EGRESS_PAYLOAD)
        return decision

    def _owner_of_bus(self, bus: int, bridges: Sequence[Bridge]) -> int | None:
        """Downstream port with ``bus`` behind it."""
        ports = range(1, self.port_count)
        return next((port for port in ports if bridges[port].claims_bus(bus)), None)

    def _owner_of_address(self, address: int, bridges: Sequence[Bridge]) -> int | None:
        """Downstream port with ``address`` behind it."""
        ports = range(1, self.port_count)
        return next((port for port in ports if bridges[port].claims_address(address)), None)

    def _by_id(
        self, ingress: int, identifier: int, nobody: Rule, bridges: Sequence[Bridge]
    ) -> Decision:
        """Decide by ID; ``nobody`` is the rule when nothing on another port's side has it."""
        bus = identifier >> 8
        owner = self._owner_of_bus(bus, bridges)
        if ingress == UPSTREAM:
            return _drop(nobody) if owner is None else _forward(owner, Rule.BUS_NUMBER)
        if owner == ingress:
            if bridges[ingress].acs.upstream_forwarding:
                return _forward(UPSTREAM, Rule.ACS_UPSTREAM_FORWARD)
            return _drop(Rule.OWN_INGRESS)
        if owner is not None:
            return _forward(owner, Rule.BUS_NUMBER)
        upper = bridges[UPSTREAM]
        if upper.claims_bus(bus) or identifier == upper.identifier:
            return _drop(nobody)
        return _forward(UPSTREAM, Rule.UPSTREAM)

    def _completion(self, ingress: int, tlp: Tlp, bridges: Sequence[Bridge]) -> Decision:
        decision = self._by_id(ingress, tlp.requester, Rule.UNEXPECTED_COMPLETION, bridges)
        to_peer = ingress != UPSTREAM and decision.rule == Rule.BUS_NUMBER
        redirected = bridges[ingress].acs.completion_redirect and not tlp.relaxed_ordering
        if to_peer and redirected:
            return _forward(UPSTREAM, Rule.ACS_COMPLETION_REDIRECT)
        return decision

    def _configuration(self, ingress: int, tlp: Tlp, bridges: Sequence[Bridge]) -> Decision:
        if ingress != UPSTREAM:
            return _refuse(tlp, Rule.CONFIGURATION_FROM_BELOW)
        bus, device, function = tlp.target >> 8, tlp.target >> 3 & 31, tlp.target & 7
        if tlp.kind == Kind.CONFIGURATION_0:
            if function != 0:
                return _refuse(tlp, Rule.NO_FUNCTION)
            return Decision(Action.LOCAL, Rule.CONFIGURATION, local=True, function=0)
        upper = bridges[UPSTREAM]
        if upper.secondary != 0 and bus == upper.secondary:
            port = device + 1
            if function != 0 or port >= self.port_count:
                return _refuse(tlp, Rule.NO_FUNCTION)
            return Decision(Action.LOCAL, Rule.CONFIGURATION, local=True, function=port)
        owner = self._owner_of_bus(bus, bridges)
        if owner is None or not upper.claims_bus(bus):
            return _refuse(tlp, Rule.NO_BUS)
        on_link = bus == bridges[owner].secondary
        if on_link and device != 0 and not bridges[owner].ari_forwarding:
            return _refuse(tlp, Rule.NO_DEVICE)
        return _forward(owner, Rule.BUS_NUMBER, to_type_0=on_link)

    def _memory(self, ingress: int, tlp: Tlp, bridges: Sequence[Bridge]) -> Decision:
        address = tlp.address if tlp.four_dwords else tlp.address & 0xFFFF_FFFF
        owner = self._owner_of_address(address, bridges)
        upper = bridges[UPSTREAM]
        if ingress == UPSTREAM:
            if not upper.memory_enable:
                return _refuse(tlp, Rule.MEMORY_DISABLED)
            if not upper.holds_address(address):
                return _refuse(tlp, Rule.OUTSIDE_WINDOW)
            if owner is None:
                return _refuse(tlp, Rule.UNCLAIMED)
            return _forward(owner, Rule.ADDRESS)
        decision = self._memory_from_below(ingress, tlp, owner, bridges)
        if decision is None:
            if upper.claims_address(address):
                return _refuse(tlp, Rule.UNCLAIMED)
            decision = _forward(UPSTREAM, Rule.UPSTREAM)
        if decision.egress == UPSTREAM and not upper.bus_master_enable:
            return _refuse(tlp, Rule.BUS_MASTER_DISABLED)
        return decision

    def _memory_from_below(
        self, ingress: int, tlp: Tlp, owner: int | None, bridges: Sequence[Bridge]
    ) -> Decision | None:
        """Decide about a request that is refused or for ``owner``; None if it is neither."""
        port, acs = bridges[ingress], bridges[ingress].acs
        if not port.bus_master_enable:
            return _refuse(tlp, Rule.BUS_MASTER_DISABLED)
        if acs.source_validation and not port.claims_bus(tlp.requester >> 8):
            return _refuse(tlp, Rule.ACS_SOURCE_VALIDATION)
        if acs.translation_blocking and tlp.at != 0:
            return _refuse(tlp, Rule.ACS_TRANSLATION_BLOCKING)
        if owner is None:
            return None
        if owner == ingress:
            if acs.upstream_forwarding:
                return _forward(UPSTREAM, Rule.ACS_UPSTREAM_FORWARD)
            return _refuse(tlp, Rule.OWN_INGRESS)
        if acs.direct_translated and tlp.at == 2:
            return _forward(owner, Rule.ACS_DIRECT_TRANSLATED)
        if acs.egress_control:
            if not acs.egress_vector >> owner & 1:
                return _forward(owner, Rule.PEER_DIRECT)
            if acs.request_redirect:
                return _forward(UPSTREAM, Rule.ACS_EGRESS_REDIRECT)
            return _refuse(tlp, Rule.ACS_EGRESS_CONTROL)
        if acs.request_redirect:
            return _forward(UPSTREAM, Rule.ACS_REQUEST_REDIRECT)
        return _forward(owner, Rule.PEER_DIRECT)

    def _message(self, ingress: int, tlp: Tlp, bridges: Sequence[Bridge]) -> Decision:
        if tlp.kind == Kind.MESSAGE_LOCAL:
            return Decision(Action.LOCAL, Rule.MESSAGE_LOCAL, local=True)
        from_below = ingress != UPSTREAM
        port = bridges[ingress]
        if from_below and port.acs.source_validation and not port.claims_bus(tlp.requester >> 8):
            return _refuse(tlp, Rule.ACS_SOURCE_VALIDATION)
        if tlp.kind == Kind.MESSAGE_BY_ID:
            return self._by_id(ingress, tlp.target, Rule.MISROUTED_MESSAGE, bridges)
        if tlp.kind == Kind.MESSAGE_TO_ROOT and from_below:
            return _forward(UPSTREAM, Rule.MESSAGE_TO_ROOT)
        if tlp.kind == Kind.MESSAGE_BROADCAST and not from_below and tlp.data is None:
            below = tuple(range(1, self.port_count))
            return Decision(Action.LOCAL, Rule.MESSAGE_BROADCAST, local=True, copies=below)
        if tlp.kind == Kind.MESSAGE_GATHER and from_below:
            return Decision(Action.LOCAL, Rule.MESSAGE_GATHER, local=True)
        return _drop(Rule.MISROUTED_MESSAGE)


def _forward(egress: int, rule: Rule, *, to_type_0: bool = False) -> Decision:
    return Decision(Action.FORWARD, rule, egress=egress, to_type_0=to_type_0)


def _drop(rule: Rule) -> Decision:
    return Decision(Action.UNSUPPORTED, rule)


def _refuse(tlp: Tlp, rule: Rule) -> Decision:
    """Answer a request that is not posted, drop anything else."""
    violates_acs = Rule.ACS_SOURCE_VALIDATION <= rule <= Rule.ACS_EGRESS_CONTROL
    action = Action.ABORT if violates_acs else Action.UNSUPPORTED
    return Decision(action, rule, local=tlp.tlp_class == TlpClass.NON_POSTED)
