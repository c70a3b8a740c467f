"""Why a TLP went where it went: the rules of the switch, each with its words."""

from dataclasses import dataclass

from amaranth.lib import enum

__all__ = ["RULES", "Action", "Rule", "RuleText"]


class Action(enum.Enum, shape=2):
    """What becomes of a TLP."""

    FORWARD = 0  #: to another port
    LOCAL = 1  #: served by the switch itself: configuration, messages that end here
    UNSUPPORTED = 2  #: answered with Unsupported Request; without an answer if posted
    ABORT = 3  #: answered with Completer Abort; without an answer if posted


class Rule(enum.Enum, shape=6):
    """Code in the trace; :data:`RULES` has the words."""

    # Forwarded.
    ADDRESS = 0
    UPSTREAM = 1
    PEER_DIRECT = 2
    BUS_NUMBER = 3
    MESSAGE_TO_ROOT = 4
    ACS_REQUEST_REDIRECT = 5
    ACS_EGRESS_REDIRECT = 6
    ACS_COMPLETION_REDIRECT = 7
    ACS_UPSTREAM_FORWARD = 8
    ACS_DIRECT_TRANSLATED = 9
    # Served by the switch.
    CONFIGURATION = 16
    MESSAGE_BROADCAST = 17
    MESSAGE_LOCAL = 18
    MESSAGE_GATHER = 19
    # Refused with Unsupported Request, or dropped.
    CONFIGURATION_FROM_BELOW = 24
    NO_FUNCTION = 25
    NO_BUS = 26
    NO_DEVICE = 27
    MEMORY_DISABLED = 28
    BUS_MASTER_DISABLED = 29
    OUTSIDE_WINDOW = 30
    UNCLAIMED = 31
    OWN_INGRESS = 32
    LINK_DOWN = 33
    NOT_SUPPORTED = 34
    UNEXPECTED_COMPLETION = 35
    MISROUTED_MESSAGE = 36
    # Refused with Completer Abort, or dropped.
    ACS_SOURCE_VALIDATION = 40
    ACS_TRANSLATION_BLOCKING = 41
    ACS_EGRESS_CONTROL = 42
    # Malformed: dropped without an answer.
    INGRESS_PAYLOAD = 48
    EGRESS_PAYLOAD = 49
    MALFORMED = 50
    OVERFLOW = 51


@dataclass(frozen=True)
class RuleText:
    """Explanation of a rule.

    Parameters
    ----------
    sentence : str
        For people, one line.
    hint : str
        What to look at when this is not what one wants; may be empty.
    """

    sentence: str
    hint: str = ""


RULES: dict[Rule, RuleText] = {
    Rule.ADDRESS: RuleText("The address is in a window of the egress port."),
    Rule.UPSTREAM: RuleText(
        "No downstream port claims it, so it goes up.",
        "A peer's BAR should be inside the peer port's windows: compare lspci -vv of both.",
    ),
    Rule.PEER_DIRECT: RuleText("The address is in a peer port's window: straight to the peer."),
    Rule.BUS_NUMBER: RuleText("The bus number is on the egress port's side."),
    Rule.MESSAGE_TO_ROOT: RuleText("A message for the root complex goes up."),
    Rule.ACS_REQUEST_REDIRECT: RuleText(
        "For a peer, but ACS P2P Request Redirect of the ingress port sends it up to the host.",
        "For GPUDirect without the host, clear ReqRedir in the ingress port's ACSCtl (setpci), "
        "or enable Direct Translated and ATS.",
    ),
    Rule.ACS_EGRESS_REDIRECT: RuleText(
        "For a peer that the egress control vector blocks; with Request Redirect it goes up.",
        "Clear the peer's bit in the ingress port's egress control vector.",
    ),
    Rule.ACS_COMPLETION_REDIRECT: RuleText(
        "A completion for a peer, but ACS P2P Completion Redirect sends it up to the host.",
        "Clear CmpltRedir in the ingress port's ACSCtl, or set Relaxed Ordering.",
    ),
    Rule.ACS_UPSTREAM_FORWARD: RuleText(
        "Its target is behind its own ingress port; ACS Upstream Forwarding sends it up."
    ),
    Rule.ACS_DIRECT_TRANSLATED: RuleText(
        "A translated address of a peer; ACS Direct Translated lets it go straight."
    ),
    Rule.CONFIGURATION: RuleText("A configuration request for a port of the switch."),
    Rule.MESSAGE_BROADCAST: RuleText("A broadcast from the root goes to all downstream ports."),
    Rule.MESSAGE_LOCAL: RuleText("A message that ends at the port that receives it."),
    Rule.MESSAGE_GATHER: RuleText("Gathered from all downstream ports before one goes up."),
    Rule.CONFIGURATION_FROM_BELOW: RuleText(
        "Configuration requests come from above only; a device below may not configure."
    ),
    Rule.NO_FUNCTION: RuleText("The switch has no function with this device or function number."),
    Rule.NO_BUS: RuleText("No port has the bus number behind it."),
    Rule.NO_DEVICE: RuleText("A link has only device 0 unless ARI forwarding is enabled."),
    Rule.MEMORY_DISABLED: RuleText(
        "Memory Space Enable of the upstream port is clear.", "Set it in the Command register."
    ),
    Rule.BUS_MASTER_DISABLED: RuleText(
        "Bus Master Enable of a bridge on the way up is clear.",
        "Set it in the Command registers of the ingress port and the upstream port.",
    ),
    Rule.OUTSIDE_WINDOW: RuleText("From above, but outside the upstream port's windows."),
    Rule.UNCLAIMED: RuleText(
        "Inside the upstream port's windows, but no downstream port claims it.",
        "A downstream port's window is closed, or its Memory Space Enable is clear.",
    ),
    Rule.OWN_INGRESS: RuleText("Its target is behind its own ingress port; nothing turns back."),
    Rule.LINK_DOWN: RuleText("The egress port's link is down, in reset, or contained."),
    Rule.NOT_SUPPORTED: RuleText("Requests of this type are not forwarded: I/O and locked reads."),
    Rule.UNEXPECTED_COMPLETION: RuleText("A completion that nothing behind another port awaits."),
    Rule.MISROUTED_MESSAGE: RuleText("A message with a routing that cannot come from this side."),
    Rule.ACS_SOURCE_VALIDATION: RuleText(
        "The requester's bus number is not behind the ingress port (ACS Source Validation)."
    ),
    Rule.ACS_TRANSLATION_BLOCKING: RuleText(
        "An address type other than untranslated (ACS Translation Blocking)."
    ),
    Rule.ACS_EGRESS_CONTROL: RuleText(
        "The egress control vector of the ingress port blocks this peer.",
        "Clear the peer's bit in the vector.",
    ),
    Rule.INGRESS_PAYLOAD: RuleText("The payload exceeds Max_Payload_Size of the ingress port."),
    Rule.EGRESS_PAYLOAD: RuleText(
        "The payload exceeds Max_Payload_Size of the egress port.",
        "Give all devices below one root port the same Max_Payload_Size.",
    ),
    Rule.MALFORMED: RuleText("The header contradicts itself or the payload behind it."),
    Rule.OVERFLOW: RuleText("The sender had no credits left for it."),
}
