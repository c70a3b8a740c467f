"""Counts of what becomes of a port's TLPs."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .parts import RoutedBeatLayout
from .route import check_ports
from .rules import Action, Rule

__all__ = ["RouteCounter", "RouteCountsLayout"]

_REDIRECTS = (
    Rule.ACS_REQUEST_REDIRECT,
    Rule.ACS_EGRESS_REDIRECT,
    Rule.ACS_COMPLETION_REDIRECT,
)


class RouteCountsLayout(data.StructLayout):
    """How many TLPs of a beat met which fate; each at most ``segment_count``.

    Fields
    ------
    forwarded, served, answered, dropped
        Each TLP is one of these: left by a port; was for the switch itself; was refused with a
        completion; was refused without.
    redirected
        Of those forwarded, they were for a peer, and ACS sent them up.
    blocked
        Of those answered or dropped, ACS refused them.
    """

    def __init__(self, segment_count: int):
        names = ("forwarded", "served", "answered", "dropped", "redirected", "blocked")
        super().__init__({name: range(segment_count + 1) for name in names})


class RouteCounter(wiring.Component):
    """Count the TLPs of each beat by what becomes of them, for counters of events.

    Latency is 1 cycle. Throughput is 1 beat per cycle.

    Specification: :class:`RouteCountsLayout`.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    segment_count : int
        Segments a beat, 1, 2 or 4.

    Members
    -------
    i : In(RoutedBeatLayout(port_count, segment_count))
        What the router puts out.
    counts : Out(RouteCountsLayout(segment_count))
        Of the beat before, registered.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    i: data.View
    counts: data.View

    def __init__(self, *, port_count: int, segment_count: int):
        check_ports(port_count)
        self.port_count = port_count
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(RoutedBeatLayout(port_count, segment_count)),
                "counts": Out(RouteCountsLayout(segment_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        found = {name: Signal(self.segment_count, name=name) for name, _ in self.counts.shape()}
        for lane in range(self.segment_count):
            segment, route = self.i.beat.segments[lane], self.i.routes[lane]
            action, rule = route.action, route.rule
            begins = self.i.beat.valid[lane] & segment.sop
            refused = (action == Action.UNSUPPORTED) | (action == Action.ABORT)
            is_redirected = Cat(rule == redirect for redirect in _REDIRECTS).any()
            m.d.comb += [
                found["forwarded"][lane].eq(begins & (action == Action.FORWARD)),
                found["served"][lane].eq(begins & (action == Action.LOCAL)),
                found["answered"][lane].eq(begins & refused & route.local),
                found["dropped"][lane].eq(begins & refused & ~route.local),
                found["redirected"][lane].eq(begins & is_redirected),
                found["blocked"][lane].eq(begins & (action == Action.ABORT)),
            ]
        m.d.sync += [self.counts[name].eq(sum(lanes, C(0, 1))) for name, lanes in found.items()]
        return m
