"""Which errors a port reports of what it received, and what credits come free at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .router import Decision
from .rules import Action, Rule
from .tlp import Kind, Tlp, TlpClass

__all__ = ["Refused", "refusals"]

_REPORTS = {0x30: "received_correctable", 0x31: "received_nonfatal", 0x33: "received_fatal"}


@dataclass
class Refused:
    """Outcome of a beat.

    Parameters
    ----------
    events : set of str
        Names of ``ErrorEventsLayout``.
    first : Tlp or None
        The first TLP with an error; if there is none, the first ERR_NONFATAL or ERR_FATAL.
    dropped : list of [headers, data]
        Credits by class.
    """

    events: set[str] = field(default_factory=set)
    first: Tlp | None = None
    dropped: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in TlpClass])


def refusals(decided: Sequence[tuple[Tlp, Decision]]) -> Refused:
    """Sum up the TLPs that begin in one beat."""
    refused = Refused()
    told = None
    for tlp, decision in decided:
        errors = set()
        if decision.rule in (Rule.INGRESS_PAYLOAD, Rule.EGRESS_PAYLOAD):
            errors.add("malformed")
        elif decision.rule.name.startswith("ACS_") and decision.action == Action.ABORT:
            errors.add("acs_violation")
        elif decision.action == Action.UNSUPPORTED:
            errors.add("unexpected_completion" if tlp.is_completion else "unsupported")
        if tlp.poisoned:
            errors.add("poisoned")
        if errors and refused.first is None:
            refused.first = tlp
        refused.events |= errors
        forwarded = decision.action == Action.FORWARD
        if tlp.kind == Kind.MESSAGE_TO_ROOT and forwarded and tlp.code in _REPORTS:
            refused.events.add(_REPORTS[tlp.code])
            if told is None and _REPORTS[tlp.code] != "received_correctable":
                told = tlp
        if decision.egress is None and not decision.local:
            refused.dropped[tlp.tlp_class][0] += 1
            refused.dropped[tlp.tlp_class][1] += tlp.data_credits
    refused.first = refused.first or told
    return refused
