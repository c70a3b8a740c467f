"""Golden model of hdl.pcie.RouteCounter: what became of TLPs, counted."""

from collections import Counter
from collections.abc import Iterable

from .router import Decision
from .rules import Action, Rule

__all__ = ["count_routes"]


def count_routes(decisions: Iterable[Decision]) -> Counter[str]:
    """Count ``decisions`` by the names of ``RouteCountsLayout``."""
    counts: Counter[str] = Counter()
    for decision in decisions:
        if decision.action == Action.FORWARD:
            counts["forwarded"] += 1
        elif decision.action == Action.LOCAL:
            counts["served"] += 1
        else:
            counts["answered" if decision.local else "dropped"] += 1
        if Rule.ACS_REQUEST_REDIRECT <= decision.rule <= Rule.ACS_COMPLETION_REDIRECT:
            counts["redirected"] += 1
        if Rule.ACS_SOURCE_VALIDATION <= decision.rule <= Rule.ACS_EGRESS_CONTROL:
            counts["blocked"] += 1
    return counts
