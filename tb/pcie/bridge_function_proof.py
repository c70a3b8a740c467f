"""Proofs of hdl.pcie.BridgeFunction, for every access and every event."""

from functools import partial
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie import BridgeFunction
from hdl.pcie.parts import ErrorEventsLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_REQUEST_BITS = 58


class _Function(wiring.Component):
    """A function whose inputs do what they like."""

    request: Signal
    events: Any
    link_up: Signal
    clear: Signal
    ready: Signal

    def __init__(self, *, port: int):
        self.port = port
        super().__init__(
            {
                "request": In(_REQUEST_BITS),
                "events": In(ErrorEventsLayout()),
                "link_up": In(1),
                "clear": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.function = function = BridgeFunction(
            port=self.port,
            port_count=2,
            vendor_id=0x1234,
            device_id=1,
            revision_id=0,
            max_payload_bytes=128,
            max_link_speed=1,
            max_link_width=1,
        )
        request, reports, state = function.access.request, function.reports, function.state
        m.d.comb += [
            Value.cast(request).eq(self.request),
            function.events.eq(self.events),
            function.link_up.eq(self.link_up),
            function.clear.eq(self.clear),
            reports.ready.eq(self.ready),
        ]
        registers = function.config.registers

        started = Signal()
        m.d.sync += started.eq(1)

        def past(value: Value, name: str) -> Signal:
            kept = Signal(len(value), name=f"past_{name}")
            m.d.sync += kept.eq(value)
            return kept

        # Windows: open only if software wrote something.
        meant = request.valid & (request.function == self.port)
        touched = Signal()
        with m.If(meant & request.write):
            m.d.sync += touched.eq(1)
        closed = (state.memory_base > state.memory_limit) & (
            state.prefetchable_base > state.prefetchable_limit
        )

        # Events: what came in the last cycle is seen now, whatever was written meanwhile.
        status = registers.uncorrectable_status
        malformed, was_malformed = (
            status.malformed_pending,
            past(status.malformed_pending, "malformed"),
        )
        event = past(self.events.malformed, "event")
        written = past(request.data[18], "data")
        enabled = past(request.byte_enables[2], "enable")
        clears = past(meant & request.write & (request.register == 0x104 // 4), "clears")
        cleared = past(clears & written & enabled, "cleared")

        # The log: does not change while its status bit is set.
        first = registers.aer_control.first_error
        log = Cat(registers.header_log[n].value for n in range(4))
        taken = Signal()
        bits = {"poisoned": 12, "aborted": 15, "unexpected_completion": 16, "overflow": 17}
        bits |= {"malformed": 18, "unsupported": 20}
        m.d.comb += taken.eq(
            Cat(getattr(status, f"{n}_pending") & (first == bit) for n, bit in bits.items()).any()
        )
        log_stays = ~past(taken, "taken") | (
            (first == past(first, "first")) & (log == past(log, "log"))
        )

        # Reports: what was refused is offered again, unless it is withdrawn.
        payload = Value.cast(reports.payload)
        refused = past(reports.valid & ~reports.ready & ~self.clear, "refused")
        report_stays = ~refused | (reports.valid & (payload == past(payload, "report")))

        asked = past(past(meant, "asked"), "answered")
        claims = {
            "a window is open that nobody opened": touched | closed,
            "an event was lost": ~event | malformed,
            "a status bit fell that nobody cleared": ~was_malformed | malformed | cleared,
            "the log of the first error changed": log_stays,
            "a refused report changed": report_stays,
            "an answer that nobody asked for": asked | (function.access.read_data == 0),
        }
        if self.port:
            contained = registers.dpc_status.triggered_pending
            fatal = self.events.received_fatal & registers.dpc_control.trigger_enable.xor()
            triggered = past(fatal & ~contained, "triggered")
            claims |= {
                "the link is up though disabled": ~(function.link_disable & state.link_up),
                "the link is up in hot reset": ~(function.hot_reset & state.link_up),
                "contained, but not disabled": ~contained | function.link_disable,
                "not contained after a trigger": ~triggered | (contained & ~state.link_up),
            }
            was_contained = Signal()
            with m.If(contained):
                m.d.sync += was_contained.eq(1)
            with m.If(~ResetSignal()):
                m.d.comb += [
                    Cover(was_contained & state.link_up, "contained and released"),
                    Cover(reports.valid & (reports.p.kind == 3), "interrupt"),
                ]
        with m.If(~ResetSignal() & started):
            for name, claim in claims.items():
                m.d.comb += Assert(claim, name)
            m.d.comb += [
                Cover(touched & ~closed, "window opened"),
                Cover(reports.valid & (reports.p.kind == 2) & refused, "fatal report refused"),
                Cover(cleared & ~malformed & was_malformed, "status cleared"),
            ]
        return m


PROOFS = [
    Proof(f"pcie.BridgeFunction/{kind} port", partial(_Function, port=port), depth=4)
    for port, kind in enumerate(("upstream", "downstream"))
]
PROOFS.append(
    Proof(
        "pcie.BridgeFunction/containment happens",
        partial(_Function, port=1),
        depth=12,
        mode="cover",
    )
)
