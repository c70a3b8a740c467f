"""What the router knows of each port, and what it decides."""

from typing import Any

from amaranth.hdl import Format
from amaranth.lib import data

from .rules import Action, Rule

__all__ = ["AcsLayout", "BridgeLayout", "RouteLayout", "check_ports"]


def check_ports(port_count: int, port: int = 0) -> None:
    """Refuse numbers of ports that no switch here has, and a port that is none of them."""
    if not 2 <= port_count <= 8:
        raise ValueError(f"port_count must be 2 to 8, not {port_count!r}")
    if not 0 <= port < port_count:
        raise ValueError(f"port must be less than {port_count}, not {port!r}")


class AcsLayout(data.StructLayout):
    """ACS Control register, and the vector behind it (7.7.11.3, 7.7.11.4).

    Bit n of ``egress_vector`` set: requests to port n are blocked, with ``egress_control``.
    """

    def __init__(self, port_count: int):
        super().__init__(
            {
                "source_validation": 1,
                "translation_blocking": 1,
                "request_redirect": 1,
                "completion_redirect": 1,
                "upstream_forwarding": 1,
                "egress_control": 1,
                "direct_translated": 1,
                "egress_vector": port_count,
            }
        )


class BridgeLayout(data.StructLayout):
    """Configuration of a port that decides about TLPs; registers of its Type 1 function.

    Fields
    ------
    bus, device : 8, 5 bits
        The function's own number: captured (upstream), or on the internal bus.
    secondary, subordinate : 8 bits each
        Buses behind it: none while ``secondary`` is 0 or greater than ``subordinate``.
    memory_base, memory_limit : 12 bits each
        Address bits 31:20 of the first and last megabyte; closed if base exceeds limit.
    prefetchable_base, prefetchable_limit : 44 bits each
        Address bits 63:20, likewise.
    memory_enable, bus_master_enable, ari_forwarding : 1 bit each
        Command and Device Control 2.
    max_payload : 3 bits
        Max_Payload_Size of Device Control: 128 bytes shifted left by it.
    link_up : 1 bit
        TLPs can leave: link up, not in reset, not contained.
    acs : AcsLayout
        Of the upstream port all 0.
    """

    def __init__(self, port_count: int):
        super().__init__(
            {
                "bus": 8,
                "device": 5,
                "secondary": 8,
                "subordinate": 8,
                "memory_base": 12,
                "memory_limit": 12,
                "prefetchable_base": 44,
                "prefetchable_limit": 44,
                "memory_enable": 1,
                "bus_master_enable": 1,
                "ari_forwarding": 1,
                "max_payload": 3,
                "link_up": 1,
                "acs": AcsLayout(port_count),
            }
        )


class RouteLayout(data.StructLayout):
    """Decision about a TLP.

    Fields
    ------
    egress : port_count bits
        One-hot egress port with Action.FORWARD; with Rule.MESSAGE_BROADCAST every downstream port,
        whether its link is up or not; else 0.
    local : 1 bit
        The switch itself serves or answers it.
    function : 3 bits
        With Rule.CONFIGURATION: number of the port whose function is meant.
    to_type_0 : 1 bit
        Leaves as Configuration Type 0, though it came as Type 1.
    action : Action
        What becomes of it.
    rule : Rule
        Why.
    """

    def __init__(self, port_count: int):
        super().__init__(
            {
                "egress": port_count,
                "local": 1,
                "function": 3,
                "to_type_0": 1,
                "action": Action,
                "rule": Rule,
            }
        )

    def format(self, value: Any, format_spec: Any) -> Any:
        """Show a decision as one number: Verilog would repeat every rule's name at each signal."""
        return Format("{:x}", value.as_value())
