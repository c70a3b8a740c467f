"""First half of routing: what the bridges say of a TLP's bus number, address and payload."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .route import BridgeLayout, check_ports
from .tlp import TlpHeaderLayout, TlpType, payload_dwords

__all__ = ["Claims", "ClaimsLayout"]

#: Max_Payload_Size codes from here on allow every TLP: 4096 bytes, and two reserved codes.
_UNLIMITED = 5


class ClaimsLayout(data.StructLayout):
    """What the bridges say of a TLP, each in its own right: what follows is the decision's.

    Fields
    ------
    bus_owner : port_count bits
        One-hot: the downstream port, of several the lowest, that has the bus behind it which the
        TLP is routed to, if it is routed by ID; 0 if none has. Bit 0 is 0.
    address_owner : port_count bits
        Likewise, of the address: one of the port's open windows has it.
    bus_inside : 1 bit
        The upstream port has the bus behind it.
    bus_is_internal, bus_is_link : 1 bit each
        It is the switch's own bus; that of the link which ``bus_owner`` leads to.
    address_inside : 1 bit
        A window of the upstream port has the address, its Memory Space Enable aside.
    to_upstream_port : 1 bit
        The ID is that of the upstream port's function.
    requester_behind : 1 bit
        The requester's bus is behind the ingress port.
    exceeds : port_count bits
        The payload is larger than Max_Payload_Size of each port.
    """

    def __init__(self, port_count: int):
        super().__init__(
            {
                "bus_owner": port_count,
                "address_owner": port_count,
                "bus_inside": 1,
                "bus_is_internal": 1,
                "bus_is_link": 1,
                "address_inside": 1,
                "to_upstream_port": 1,
                "requester_behind": 1,
                "exceeds": port_count,
            }
        )


class Claims(wiring.Component):
    """Compare a TLP with the bus numbers and windows of every bridge.

    A bridge claims the buses from its secondary to its subordinate, none while secondary is 0,
    and the addresses from base to limit of either window (PCI-to-PCI Bridge Architecture
    Specification, Type 1 configuration space). Where a base exceeds its limit no number is
    between them, so a closed window needs no rule of its own.

    Combinational: latency is 0 cycles.

    Specification: :class:`ClaimsLayout`.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    port : int
        Ingress port.

    Members
    -------
    header : In(TlpHeaderLayout())
        Of the TLP.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Configuration of every port.
    claims : Out(ClaimsLayout(port_count))
        Combinational.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    header: data.View
    bridges: list[data.View]
    claims: data.View

    def __init__(self, *, port_count: int, port: int):
        check_ports(port_count, port)
        self.port_count = port_count
        self.port = port
        super().__init__(
            {
                "header": In(TlpHeaderLayout()),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "claims": Out(ClaimsLayout(port_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._buses(m)
        self._addresses(m)
        self._payload(m)
        return m

    def _buses(self, m: Module) -> None:
        """Which bridges have the bus that a TLP routed by ID goes to, and the requester's."""
        is_completion = Signal()
        destination = Signal(16)
        bus = Signal(8)
        m.d.comb += [
            is_completion.eq(
                (self.header.type == TlpType.COMPLETION)
                | (self.header.type == TlpType.COMPLETION_LOCKED)
            ),
            # Messages routed by ID have theirs in the same bytes as configuration requests.
            destination.eq(
                Mux(is_completion, self.header.requester, self.header.specific.configuration.target)
            ),
            bus.eq(destination[8:]),
        ]
        behind = Signal(self.port_count)
        nearest = Signal(self.port_count)
        for number, bridge in enumerate(self.bridges):
            m.d.comb += [
                behind[number].eq(_has_behind(bridge, bus)),
                nearest[number].eq((bridge.secondary != 0) & (bus == bridge.secondary)),
            ]
        upstream, ingress = self.bridges[0], self.bridges[self.port]
        m.d.comb += [
            self.claims.bus_owner.eq(_lowest_downstream(behind)),
            self.claims.bus_inside.eq(behind[0]),
            self.claims.bus_is_internal.eq(nearest[0]),
            self.claims.bus_is_link.eq((self.claims.bus_owner & nearest).any()),
            self.claims.to_upstream_port.eq(
                destination == Cat(C(0, 3), upstream.device, upstream.bus)
            ),
            self.claims.requester_behind.eq(_has_behind(ingress, self.header.requester[8:])),
        ]

    def _addresses(self, m: Module) -> None:
        """Which windows have the address: they begin and end at whole megabytes."""
        address = self.header.specific.memory.address
        megabyte = Signal(44)
        is_low = Signal()
        m.d.comb += [
            megabyte.eq(Cat(address[20:32], address[32:] & self.header.four_dwords.replicate(32))),
            is_low.eq(~megabyte[12:].any()),
        ]
        in_window = Signal(self.port_count)
        enabled = Signal(self.port_count)
        for number, bridge in enumerate(self.bridges):
            in_memory = (bridge.memory_base <= megabyte[:12]) & (
                megabyte[:12] <= bridge.memory_limit
            )
            in_prefetchable = (bridge.prefetchable_base <= megabyte) & (
                megabyte <= bridge.prefetchable_limit
            )
            m.d.comb += [
                in_window[number].eq((is_low & in_memory) | in_prefetchable),
                enabled[number].eq(bridge.memory_enable),
            ]
        m.d.comb += [
            self.claims.address_owner.eq(_lowest_downstream(in_window & enabled)),
            self.claims.address_inside.eq(in_window[0]),
        ]

    def _payload(self, m: Module) -> None:
        """Where the payload exceeds Max_Payload_Size: 128 bytes, 32 DW, shifted by the code."""
        dwords = payload_dwords(self.header)
        for number, bridge in enumerate(self.bridges):
            with m.Switch(bridge.max_payload):
                for code in range(_UNLIMITED):
                    with m.Case(code):
                        m.d.comb += self.claims.exceeds[number].eq(dwords > 32 << code)


def _has_behind(bridge: data.View, bus: Value) -> Value:
    return (bridge.secondary != 0) & (bridge.secondary <= bus) & (bus <= bridge.subordinate)


def _lowest_downstream(claiming: Value) -> Value:
    """One-hot: the lowest set bit but bit 0, which is the upstream port's."""
    return Cat(
        C(0, 1),
        *(claiming[n] & ~claiming[1:n].any() for n in range(1, len(claiming))),
    )
