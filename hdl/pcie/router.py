"""Router of one ingress port: where every TLP goes, and by which rule."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from .claims import Claims, ClaimsLayout
from .decision import Decision
from .parts import RoutedBeatLayout
from .route import BridgeLayout, RouteLayout, check_ports
from .tlp import TlpBeatLayout, TlpType

__all__ = ["Router"]


class Router(wiring.Component):
    """Give every lane of a port's beats the route of its TLP.

    TLPs begin in any number of lanes of a beat; each is decided by itself, as
    :class:`Decision` says. Lanes that continue a TLP have its route, also in later beats, however
    many empty cycles are between. A Configuration request that leaves as Type 0 has that type in
    ``o`` already; nothing else of a segment changes.

    Latency is ``LATENCY``, 2, cycles: the bridges' claims, then the decision. Throughput is 1 beat
    per cycle, whatever is in it.

    Specification: :class:`Claims`, :class:`Decision`, and the contract of :class:`TlpBeatLayout`:
    with idle lanes inside a TLP, or lanes of none, the routes of these lanes mean nothing.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8; port 0 is the upstream port.
    segment_count : int
        Segments a beat, 1, 2 or 4.
    port : int
        Ingress port.

    Members
    -------
    i : In(TlpBeatLayout(segment_count))
        Beats, well-formed and whole; ``valid`` is 0 in a cycle without one.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Configuration of every port, from registers. A TLP in the router while they change is
        decided by old and new values.
    o : Out(RoutedBeatLayout(port_count, segment_count))
        The beats and their routes, registered. A lane that is not valid has a route of all 0.

    Attributes
    ----------
    carried : RouteLayout(port_count)
        State: route of the last lane of the last beat, whose TLP may go on.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    #: Cycles from ``i`` to ``o``.
    LATENCY = 2

    i: data.View
    bridges: list[data.View]
    o: data.View

    def __init__(self, *, port_count: int, segment_count: int, port: int):
        check_ports(port_count, port)
        self.port_count = port_count
        self.segment_count = segment_count
        self.port = port
        super().__init__(
            {
                "i": In(TlpBeatLayout(segment_count)),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "o": Out(RoutedBeatLayout(port_count, segment_count)),
            }
        )
        self.carried = Signal(RouteLayout(port_count), reset_less=True)

    def elaborate(self, platform):
        m = Module()

        # Stage 1: what the bridges say of each header, and where each lane's TLP began: in an
        # earlier beat (bit 0), or in lane n of this one (bit n + 1). Of an idle lane, nowhere.
        begins = Signal(self.segment_count)
        m.d.comb += begins.eq(
            self.i.valid & Cat(segment.sop for segment in self.i.segments),
        )
        claimed = Signal(TlpBeatLayout(self.segment_count), reset_less=True)
        claimed_valid = Signal(self.segment_count)
        m.d.sync += [claimed.eq(self.i), claimed_valid.eq(self.i.valid)]
        claims = []
        origins = []
        for lane, segment in enumerate(self.i.segments):
            m.submodules[f"claims_{lane}"] = unit = Claims(
                port_count=self.port_count, port=self.port
            )
            m.d.comb += [unit.header.eq(segment.header), *self._give_bridges(unit)]
            claim = Signal(ClaimsLayout(self.port_count), name=f"claim_{lane}", reset_less=True)
            m.d.sync += claim.eq(unit.claims)
            claims.append(claim)

            origin = Signal(lane + 2, name=f"origin_{lane}")
            with m.If(self.i.valid[lane]):
                m.d.sync += origin.eq(
                    Cat(
                        ~begins[: lane + 1].any(),
                        *(begins[n] & ~begins[n + 1 : lane + 1].any() for n in range(lane + 1)),
                    )
                )
            with m.Else():
                m.d.sync += origin.eq(0)
            origins.append(origin)

        # Stage 2: the decision, and from lane to lane. A TLP that goes on is in the last lane.
        decided = Signal(TlpBeatLayout(self.segment_count), reset_less=True)
        decided_valid = Signal(self.segment_count)
        m.d.sync += [decided.eq(claimed), decided_valid.eq(claimed_valid)]
        m.d.comb += [self.o.beat.eq(decided), self.o.beat.valid.eq(decided_valid)]
        choices = [Value.cast(self.carried)]
        for lane, segment in enumerate(claimed.segments):
            m.submodules[f"decision_{lane}"] = unit = Decision(
                port_count=self.port_count, port=self.port
            )
            m.d.comb += [
                unit.header.eq(segment.header),
                unit.claims.eq(claims[lane]),
                *self._give_bridges(unit),
            ]
            choices.append(Value.cast(unit.route))
            chosen = Signal(RouteLayout(self.port_count), name=f"chosen_{lane}")
            route = Signal(RouteLayout(self.port_count), name=f"route_{lane}")
            m.d.comb += [
                Value.cast(chosen).eq(select_one_hot(origins[lane], choices)),
                self.o.routes[lane].eq(route),
            ]
            m.d.sync += route.eq(chosen)
            with m.If(origins[lane][lane + 1] & unit.route.to_type_0):
                m.d.sync += decided.segments[lane].header.type.eq(TlpType.CONFIGURATION_0)
            if lane == self.segment_count - 1:
                with m.If(claimed_valid.any()):
                    m.d.sync += self.carried.eq(chosen)

        return m

    def _give_bridges(self, unit: Claims | Decision) -> list[Any]:
        return [inner.eq(outer) for inner, outer in zip(unit.bridges, self.bridges, strict=True)]
