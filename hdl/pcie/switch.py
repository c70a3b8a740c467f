"""A PCI Express switch: bridges, queues and the switch's own unit, put together."""

from collections.abc import Iterator, Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from .bridge_function import BridgeFunction
from .credit_gate import CreditGate
from .crosspoint import Crosspoint, rows_needed
from .egress import Egress
from .ingress import Ingress
from .local_unit import LocalUnit
from .port import TlpPortSignature
from .route import BridgeLayout
from .tlp import CLASS_COUNT
from .trace import Tracer, TraceRecordLayout

__all__ = ["CREDITS", "Switch"]

#: Header and data credits that each port advertises by default, by class. 512 data credits are
#: 8 KB: 64 beats of 128 bytes, twice the cycles that a credit is on its way at most.
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

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    ports: Any
    trace: Any

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
        self.functions = [
            BridgeFunction(
                port=port,
                port_count=ports,
                vendor_id=vendor_id,
                device_id=device_id,
                revision_id=revision_id,
                max_payload_bytes=max_payload_bytes,
                max_link_speed=max_link_speed,
                max_link_width=max_link_width,
            )
            for port in range(ports)
        ]
        super().__init__(
            {
                "ports": Out(TlpPortSignature(segments)).array(ports),
                "trace": Out(stream.Signature(TraceRecordLayout())).array(ports),
            }
        )

    def elaborate(self, platform):
        m = Module()
        numbers = range(self.port_count)

        local = LocalUnit(
            port_count=self.port_count,
            segment_count=self.segment_count,
            nonposted_rows=self.credits[1][0],
            posted_rows=self.credits[0][0],
            answer_rows=ANSWER_ROWS,
        )
        ingresses = [
            Ingress(
                port=port,
                port_count=self.port_count,
                segment_count=self.segment_count,
                credits=self.credits,
                max_payload_bytes=self.max_payload_bytes,
            )
            for port in numbers
        ]
        egresses = [
            # From every other port, and from the switch's own unit.
            Egress(source_count=self.port_count, segment_count=self.segment_count)
            for _ in numbers
        ]
        m.submodules.local = local
        for port in numbers:
            m.submodules[f"function_{port}"] = self.functions[port]
            m.submodules[f"ingress_{port}"] = ingresses[port]
            m.submodules[f"egress_{port}"] = egresses[port]
        bridges = [Signal(BridgeLayout(self.port_count), name=f"bridge_{port}") for port in numbers]

        self._connect_functions(m, bridges, ingresses, local)
        self._connect_receivers(m, bridges, ingresses, local)
        self._connect_senders(m, bridges, egresses, local)

        # The crosspoints. Nothing goes back where it came from, but for the switch's answers.
        for target, egress in enumerate(egresses):
            for place, source in enumerate(self._sources(target)):
                crosspoint = Crosspoint(
                    segment_count=self.segment_count,
                    row_counts=[rows_needed(self.segment_count, *pair) for pair in self.credits],
                )
                m.submodules[f"crosspoint_{source}_{target}"] = crosspoint
                routed = ingresses[source].o
                m.d.comb += [
                    crosspoint.i.eq(routed.beat),
                    crosspoint.select.eq(Cat(route.egress[target] for route in routed.routes)),
                    *_give(
                        ingresses[source].freed[self._place(target, of=source)], crosspoint.freed
                    ),
                ]
                self._offer(m, crosspoint, egress, place)
            crosspoint = Crosspoint(segment_count=1, row_counts=[ANSWER_ROWS] * CLASS_COUNT)
            m.submodules[f"crosspoint_local_{target}"] = crosspoint
            m.d.comb += [
                crosspoint.i.eq(local.o),
                crosspoint.select.eq(local.o_egress[target]),
                *_give(local.left[target], crosspoint.freed),
            ]
            self._offer(m, crosspoint, egress, self.port_count - 1)
        return m

    def _sources(self, target: int) -> Iterator[int]:
        """Ingress ports of an egress port, in the order of its inputs."""
        return (port for port in range(self.port_count) if port != target)

    def _place(self, port: int, *, of: int) -> int:
        """Place of ``port`` among the ports that are not ``of``."""
        return list(self._sources(of)).index(port)

    def _connect_functions(
        self, m: Module, bridges: list[Any], ingresses: list[Ingress], local: LocalUnit
    ) -> None:
        """Give each port's function its requests, errors and link; collect what it says."""
        upstream = self.functions[0]
        read_data = []
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
                bridges[number].eq(function.state),
            ]
            wiring.connect(m, function.reports, local.reports[number])
            read_data.append(function.access.read_data)
        merged = read_data[0]
        for word in read_data[1:]:
            merged = merged | word
        m.d.comb += local.config.read_data.eq(merged)

    def _connect_receivers(
        self, m: Module, bridges: list[Any], ingresses: list[Ingress], local: LocalUnit
    ) -> None:
        for number, (ingress, port) in enumerate(zip(ingresses, self.ports, strict=True)):
            m.submodules[f"tracer_{number}"] = tracer = Tracer(
                port_count=self.port_count,
                segment_count=self.segment_count,
                port=number,
                depth=TRACE_BEATS,
            )
            m.d.comb += [
                ingress.rx.eq(port.rx),
                ingress.link_up.eq(port.link_up),
                port.rx_credits.eq(ingress.allocated),
                port.rx_drained.eq(ingress.drained),
                local.i[number].eq(ingress.o),
                *_give(ingress.freed[-1], local.freed[number]),
                local.bridges[number].eq(bridges[number]),
                tracer.i.eq(ingress.o),
                *(inner.eq(outer) for inner, outer in zip(ingress.bridges, bridges, strict=True)),
            ]
            wiring.connect(m, tracer.o, wiring.flipped(self.trace[number]))

    def _connect_senders(
        self, m: Module, bridges: list[Any], egresses: list[Egress], local: LocalUnit
    ) -> None:
        for number, (egress, port) in enumerate(zip(egresses, self.ports, strict=True)):
            m.submodules[f"gate_{number}"] = gate = CreditGate()
            m.d.comb += [
                gate.limits.eq(port.tx_limits),
                gate.infinite.eq(port.tx_infinite),
                gate.scale.eq(port.tx_scale),
                gate.link_up.eq(port.link_up),
                gate.spend.eq(egress.spend),
                egress.port_up.eq(bridges[number].link_up),
            ]
            # What is infinite keeps all ones in fewer bits.
            m.d.comb += _give(egress.available, gate.available)
            wiring.connect(m, egress.o, wiring.flipped(port.tx))
            dead = local.dead[number]
            m.d.comb += [
                dead.valid.eq(egress.dead.valid),
                egress.dead.ready.eq(dead.ready),
                dead.payload.beat.eq(egress.dead.payload.beat),
            ]
            # The egress knows the place of the crosspoint, the local unit wants the port.
            with m.Switch(egress.dead.payload.ingress):
                for place, source in enumerate(self._sources(number)):
                    with m.Case(place):
                        m.d.comb += dead.payload.ingress.eq(source)

    def _offer(self, m: Module, crosspoint: Crosspoint, egress: Egress, place: int) -> None:
        """Connect a crosspoint's heads; a narrow one has lane 0 only."""
        for number in range(CLASS_COUNT):
            head, offered = crosspoint.heads[number], egress.heads[place][number]
            if crosspoint.segment_count == self.segment_count:
                wiring.connect(m, head, offered)
                m.d.comb += egress.segments[place][number].eq(crosspoint.segments[number])
                continue
            m.d.comb += [
                offered.valid.eq(head.valid),
                offered.allowed.eq(head.allowed),
                offered.lanes[0].eq(head.lanes[0]),
                *(
                    getattr(offered.needs, name).eq(getattr(head.needs, name))
                    for name in ("first", "first_cost", "headers", "cost")
                ),
                head.take.eq(offered.take),
                egress.segments[place][number][0].eq(crosspoint.segments[number][0]),
            ]


def _give(to: Any, amounts: Any) -> list[Any]:
    """Assign credits of each class, whose amounts may be of other widths."""
    return [
        getattr(inner, name).eq(getattr(outer, name))
        for inner, outer in zip(to, amounts, strict=True)
        for name in ("headers", "data")
    ]
