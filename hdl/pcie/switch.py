"""A PCI Express switch: bridges, queues and the switch's own unit, put together."""

from collections.abc import Iterator, Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..register import AxiLiteSignature
from .bridge_function import BridgeFunction
from .column import Column, give_credits
from .ingress import Ingress
from .local_unit import LocalUnit
from .port import TlpPortSignature
from .route import BridgeLayout
from .route_counter import RouteCounter, RouteCountsLayout
from .switch_counters import SwitchCounters
from .tlp import CLASS_COUNT, TlpClass
from .trace import Tracer, TraceRecordLayout

__all__ = ["CREDITS", "Switch"]

#: Header and data credits that each port advertises by default, by class. 512 data credits are
#: 8 KB: 64 beats of 128 bytes, twice the cycles that a credit is on its way at most. 64 reads are
#: 16 cycles of nothing but reads at 4 segments, twice as many as completions of 64 bytes answer;
#: 16 do as much at one segment, and fit into distributed memory.
CREDITS = ((64, 512), (64, 64), (64, 512))

#: TLPs of each class that the switch's own queue to each port holds.
ANSWER_ROWS = 8

#: Beats that the trace of each port keeps until they are read.
TRACE_BEATS = 16


class Switch(wiring.Component):
    """Switch of one upstream port, 0, and ``ports - 1`` downstream ports.

    TLPs go by address, bus number or implicitly, as docs/pcie-switch.md says rule for rule; what is
    for a peer goes straight to it. Each pair of ports has queues of its own, so that ports choose
    what they send without regard to each other. Configuration requests for the ports' Type 1
    functions, and all that must be refused, are answered by the switch. TLPs enter and leave at
    :class:`TlpPortSignature`; hard IP or a data link layer attaches there.

    Latency is 20 cycles at most from the last segment of a TLP to its first at another port that
    is free and has credits. Throughput is ``segments`` segments a cycle at every port, in both
    directions at once.

    Specification: PCI Express Base Specification, chapters 2, 6.12 and 7; written without its text,
    and no compliance is claimed.

    Parameters
    ----------
    ports : int
        Number of ports, 2 to 8.
    segments : int
        Segments a beat: 1, 2 or 4.
    credits : sequence
        (headers, data) that each port advertises of posted, non-posted, completion: 1 to 127 and
        1 to 2047, what flow control counts without scaling.
    max_payload_bytes : int
        Largest payload, a power of two from 128 to 4096.
    vendor_id, device_id, revision_id : int
        Identification of the ports' functions.
    max_link_speed, max_link_width : int
        What the links can do: 1 (2.5 GT/s) to 6 (64 GT/s), and lanes.

    Members
    -------
    ports : Out(TlpPortSignature(segments)).array(ports)
        The ports. ``tx`` and ``rx_credits`` are registered.
    trace : Out(stream.Signature(TraceRecordLayout())).array(ports)
        For each TLP that an ingress port routed, where it went and by which rule; what is not
        taken in time is counted and lost, and delays nothing.
    counters : In(AxiLiteSignature(...))
        Counters of each port, at the addresses of :func:`counter_table`.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    ports: Any
    trace: Any
    counters: Any

    def __init__(
        self,
        *,
        ports: int,
        segments: int,
        credits: Sequence[Sequence[int]] = CREDITS,
        max_payload_bytes: int = 512,
        vendor_id: int = 0x1D1D,
        device_id: int = 0x0920,
        revision_id: int = 0,
        max_link_speed: int = 5,
        max_link_width: int = 16,
    ):
        if not 2 <= ports <= 8:
            raise ValueError(f"ports must be 2 to 8, not {ports!r}")
        if segments not in (1, 2, 4):
            raise ValueError(f"segments must be 1, 2 or 4, not {segments!r}")
        self.port_count = ports
        self.segment_count = segments
        self.credits = tuple((headers, units) for headers, units in credits)
        if len(self.credits) != CLASS_COUNT or not all(
            1 <= headers <= 127 and 1 <= units <= 2047 for headers, units in self.credits
        ):
            raise ValueError(
                f"credits must be 3 pairs of 1 to 127 headers and 1 to 2047 data, not {credits!r}"
            )
        if min(units for _, units in (self.credits[0], self.credits[2])) < max_payload_bytes // 16:
            raise ValueError(
                f"data credits must suffice for a payload of {max_payload_bytes} bytes, "
                f"not {credits!r}"
            )
        self.max_payload_bytes = max_payload_bytes
        self._identity = {
            "vendor_id": vendor_id,
            "device_id": device_id,
            "revision_id": revision_id,
            "max_link_speed": max_link_speed,
            "max_link_width": max_link_width,
        }
        self._size = {"port_count": ports, "segment_count": segments}
        self.functions = [self._function(port) for port in range(ports)]
        self._counters = SwitchCounters(**self._size)
        super().__init__(
            {
                "ports": Out(TlpPortSignature(segments)).array(ports),
                "trace": Out(stream.Signature(TraceRecordLayout())).array(ports),
                "counters": In(AxiLiteSignature(self._counters.address_bits)),
            }
        )

    def _function(self, port: int) -> BridgeFunction:
        return BridgeFunction(
            port=port,
            port_count=self.port_count,
            max_payload_bytes=self.max_payload_bytes,
            **self._identity,
        )

    def _ingress(self, port: int) -> Ingress:
        return Ingress(
            port=port,
            **self._size,
            credits=self.credits,
            max_payload_bytes=self.max_payload_bytes,
        )

    def _column(self) -> Column:
        return Column(**self._size, credits=self.credits, answer_rows=ANSWER_ROWS)

    def _local(self) -> LocalUnit:
        return LocalUnit(
            **self._size,
            nonposted_rows=self.credits[TlpClass.NON_POSTED.value][0],
            posted_rows=self.credits[TlpClass.POSTED.value][0],
            answer_rows=ANSWER_ROWS,
        )

    def _tracer(self, port: int) -> Tracer:
        return Tracer(**self._size, port=port, depth=TRACE_BEATS)

    def depth_parts(self) -> dict[str, tuple[int, wiring.Component]]:
        """List the parts between whose registers all paths are: see :mod:`fpga.in_parts`.

        Those of the downstream ports differ from each other by constants.
        """
        others = self.port_count - 1
        return {
            "upstream ingress": (1, self._ingress(0)),
            "downstream ingress": (others, self._ingress(1)),
            "column": (self.port_count, self._column()),
            "local unit": (1, self._local()),
            "upstream function": (1, self._function(0)),
            "downstream function": (others, self._function(1)),
            "tracer": (self.port_count, self._tracer(0)),
            "route counter": (self.port_count, RouteCounter(**self._size)),
            "counters": (1, SwitchCounters(**self._size)),
        }

    def elaborate(self, platform):
        m = Module()
        numbers = range(self.port_count)
        m.submodules.local = local = self._local()
        m.submodules.counters = counters = self._counters
        wiring.connect(m, wiring.flipped(self.counters), counters.bus)
        ingresses = [self._ingress(port) for port in numbers]
        columns = [self._column() for _ in numbers]
        bridges = []
        for port in numbers:
            m.submodules[f"function_{port}"] = self.functions[port]
            m.submodules[f"ingress_{port}"] = ingresses[port]
            m.submodules[f"column_{port}"] = columns[port]
            bridge = Signal(BridgeLayout(self.port_count), name=f"bridge_{port}")
            m.d.comb += bridge.eq(self.functions[port].state)
            bridges.append(bridge)

        self._connect_functions(m, ingresses, local)
        for port in numbers:
            self._receive(m, port, ingresses[port], bridges, local)
            self._send(m, port, columns[port], bridges[port], local)
            self._observe(m, port, ingresses[port], counters.i[port])

        # From each port to each other. Nothing goes back but for the switch's own answers.
        for target, column in enumerate(columns):
            for place, source in enumerate(self._others(target)):
                routed = ingresses[source].o
                m.d.comb += [
                    column.i[place].eq(routed.beat),
                    column.select[place].eq(Cat(route.egress[target] for route in routed.routes)),
                    ingresses[source]
                    .freed[list(self._others(source)).index(target)]
                    .eq(column.freed[place]),
                ]
            if target:
                m.d.comb += ingresses[0].shared_left[target - 1].eq(column.shared_left[0])
        m.d.comb += [
            local.posted[source].eq(columns[0].posted[place])
            for place, source in enumerate(self._others(0))
        ]
        return m

    def _others(self, port: int) -> Iterator[int]:
        """Ports but one: the places of a column's sources, and of an ingress's queues."""
        return (other for other in range(self.port_count) if other != port)

    def _connect_functions(self, m: Module, ingresses: list[Ingress], local: LocalUnit) -> None:
        """Give each port's function its requests, errors and link; collect what it says."""
        upstream = self.functions[0]
        read_data: Value = C(0, 32)
        for number, (function, port) in enumerate(zip(self.functions, self.ports, strict=True)):
            m.d.comb += [
                function.access.request.eq(local.config.request),
                function.captured.eq(local.captured),
                function.internal_bus.eq(upstream.state.secondary),
                function.link_up.eq(port.link_up),
                function.link_speed.eq(port.link_speed),
                function.link_width.eq(port.link_width),
                function.events.eq(ingresses[number].events),
                # A hot reset from above reaches all that is below (6.6.1, reset rules).
                function.clear.eq(upstream.hot_reset if number else ~port.link_up),
                port.hot_reset.eq(function.hot_reset if number else 0),
                port.link_disable.eq(function.link_disable),
            ]
            wiring.connect(m, function.reports, local.reports[number])
            read_data = read_data | function.access.read_data
        m.d.comb += local.config.read_data.eq(read_data)

    def _receive(
        self, m: Module, number: int, ingress: Ingress, bridges: list[Any], local: LocalUnit
    ) -> None:
        port = self.ports[number]
        m.d.comb += [
            ingress.rx.eq(port.rx),
            ingress.link_up.eq(port.link_up),
            # Nothing comes out of a contained port, as soon as it is contained (6.2.10).
            ingress.held.eq(port.hot_reset | port.link_disable),
            *(inner.eq(outer) for inner, outer in zip(ingress.bridges, bridges, strict=True)),
            port.rx_credits.eq(ingress.allocated),
            port.rx_drained.eq(ingress.drained),
            local.i[number].eq(ingress.o),
            local.bridges[number].eq(bridges[number]),
            *give_credits(ingress.freed[-1], local.freed[number]),
        ]

    def _send(self, m: Module, number: int, column: Column, bridge: Any, local: LocalUnit) -> None:
        port, dead = self.ports[number], local.dead[number]
        m.d.comb += [
            column.limits.eq(port.tx_limits),
            column.infinite.eq(port.tx_infinite),
            column.scale.eq(port.tx_scale),
            column.link_up.eq(port.link_up),
            column.port_up.eq(bridge.link_up),
            column.local.eq(local.o),
            column.local_select.eq(local.o_egress[number]),
            local.left[number].eq(column.local_freed),
            dead.valid.eq(column.dead.valid),
            column.dead.ready.eq(dead.ready),
            dead.payload.beat.eq(column.dead.payload.beat),
        ]
        wiring.connect(m, column.o, wiring.flipped(port.tx))
        # The column knows the place of a source, the local unit wants the port.
        with m.Switch(column.dead.payload.ingress):
            for place, source in enumerate(self._others(number)):
                with m.Case(place):
                    m.d.comb += dead.payload.ingress.eq(source)

    def _observe(self, m: Module, number: int, ingress: Ingress, counts: Any) -> None:
        """Trace and count what becomes of a port's TLPs."""
        m.submodules[f"tracer_{number}"] = tracer = self._tracer(number)
        m.submodules[f"route_counter_{number}"] = counter = RouteCounter(**self._size)
        m.d.comb += [tracer.i.eq(ingress.o), counter.i.eq(ingress.o)]
        wiring.connect(m, tracer.o, wiring.flipped(self.trace[number]))
        tx = self.ports[number].tx
        m.d.comb += [
            *(
                getattr(counts, name).eq(getattr(counter.counts, name))
                for name in RouteCountsLayout(self.segment_count).members
            ),
            *(
                getattr(counts, name).eq(getattr(ingress, name))
                for name in ("malformed", "overflow", "nullified")
            ),
            counts.untraced.eq(tracer.lost),
        ]
        sent = Signal(self.segment_count, name=f"sent_{number}")
        m.d.sync += sent.eq(tx.payload.valid & (tx.valid & tx.ready).replicate(len(sent)))
        m.d.comb += counts.sent.eq(sum(sent))
