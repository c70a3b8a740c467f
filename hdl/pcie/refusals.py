"""What the router refused: credits of what ends there, and events for the port's registers."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .parts import CreditAmountsLayout, ErrorEventsLayout, RoutedBeatLayout
from .rules import Action, Rule
from .tlp import CLASS_COUNT, TlpClass, TlpType, class_of, data_credits

__all__ = ["DROPPED_DATA_BITS", "DROPPED_HEADER_BITS", "Refusals"]

#: Four TLPs of 256 data credits may be dropped in one cycle.
DROPPED_HEADER_BITS = 3
DROPPED_DATA_BITS = 11

# Codes of the error messages (2.2.8.3).
ERR_COR, ERR_NONFATAL, ERR_FATAL = 0x30, 0x31, 0x33

_MALFORMED = (Rule.INGRESS_PAYLOAD, Rule.EGRESS_PAYLOAD)
_ACS_VIOLATION = (
    Rule.ACS_SOURCE_VALIDATION,
    Rule.ACS_TRANSLATION_BLOCKING,
    Rule.ACS_EGRESS_CONTROL,
)


class Refusals(wiring.Component):
    """Give back the credits of routed TLPs that go nowhere, and report errors.

    A TLP that is neither forwarded nor served ends at the router, so its credits are free at
    once. Errors of several TLPs of a beat show together; the header is that of the first, or of
    the first ERR_NONFATAL or ERR_FATAL if there is no error.

    Latency is 2 cycles. Throughput is 1 beat per cycle.

    Specification: PCI Express Base Specification, 2.3.1 (request handling), 2.6.1 (credits),
    6.2.3.2 (which error is what); written without its text.

    Parameters
    ----------
    port_count : int
        Ports of the switch.
    segment_count : int
        Segments a beat.

    Members
    -------
    i : In(RoutedBeatLayout(port_count, segment_count))
        Beats from the router.
    dropped : Out(CreditAmountsLayout(3, 11))
        Credits of the TLPs that ended here. Registered.
    events : Out(ErrorEventsLayout())
        Errors; ``malformed`` of payloads over Max_Payload_Size only. Registered.

    Raises
    ------
    ValueError
        If ``segment_count`` is not 1, 2 or 4.
    """

    i: Any
    dropped: Any
    events: Any

    def __init__(self, *, port_count: int, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(RoutedBeatLayout(port_count, segment_count)),
                "dropped": Out(CreditAmountsLayout(DROPPED_HEADER_BITS, DROPPED_DATA_BITS)),
                "events": Out(ErrorEventsLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # First each TLP by itself.
        drops, costs, lanes = [], [], []
        for lane in range(self.segment_count):
            segment = self.i.beat.segments[lane]
            header, route = segment.header, self.i.routes[lane]
            begins = Signal(name=f"begins_{lane}")
            tlp_class = Signal(2, name=f"class_{lane}")
            m.d.comb += [
                begins.eq(self.i.beat.valid[lane] & segment.sop),
                tlp_class.eq(class_of(header)),
            ]

            drop = Signal(CLASS_COUNT, name=f"drop_{lane}")
            cost = Signal(9, name=f"cost_{lane}", reset_less=True)
            m.d.sync += [
                drop.eq((begins & ~route.egress.any() & ~route.local) << tlp_class),
                cost.eq(data_credits(header)),
            ]
            drops.append(drop)
            costs.append(cost)

            events: Any = Signal(ErrorEventsLayout(), name=f"events_{lane}")
            is_completion = tlp_class == TlpClass.COMPLETION.value
            malformed = _is_any(route.rule, _MALFORMED)
            refused = (route.action == Action.UNSUPPORTED) & ~malformed
            code = header.specific.message.code
            reports = (header.type == TlpType.MESSAGE_TO_ROOT) & (route.action == Action.FORWARD)
            m.d.sync += [
                events.eq(0),
                events.header.eq(header),
                events.posted.eq(tlp_class == TlpClass.POSTED.value),
            ]
            with m.If(begins):
                m.d.sync += [
                    events.malformed.eq(malformed),
                    events.unexpected_completion.eq(refused & is_completion),
                    events.unsupported.eq(refused & ~is_completion),
                    events.acs_violation.eq(_is_any(route.rule, _ACS_VIOLATION)),
                    events.poisoned.eq(header.poisoned),
                    events.received_correctable.eq(reports & (code == ERR_COR)),
                    events.received_nonfatal.eq(reports & (code == ERR_NONFATAL)),
                    events.received_fatal.eq(reports & (code == ERR_FATAL)),
                ]
            lanes.append(events)

        # Then the beat.
        for number in range(CLASS_COUNT):
            m.d.sync += [
                self.dropped[number].headers.eq(sum(drop[number] for drop in drops)),
                self.dropped[number].data.eq(
                    sum(
                        (
                            Mux(drop[number], cost, 0)
                            for drop, cost in zip(drops, costs, strict=True)
                        ),
                        start=C(0, 1),
                    )
                ),
            ]
        strobes = [name for name in ErrorEventsLayout().members if name not in ("header", "posted")]
        m.d.sync += [
            getattr(self.events, name).eq(Cat(getattr(lane, name) for lane in lanes).any())
            for name in strobes
        ]
        # An error's header goes before that of a message that tells of one further down.
        headers = [(lane, lane.received_nonfatal | lane.received_fatal) for lane in lanes]
        headers = headers[::-1] + [
            (
                lane,
                lane.malformed
                | lane.unexpected_completion
                | lane.unsupported
                | lane.acs_violation
                | lane.poisoned,
            )
            for lane in reversed(lanes)
        ]
        for lane, shows in headers:
            with m.If(shows):
                m.d.sync += [
                    self.events.header.eq(lane.header),
                    self.events.posted.eq(lane.posted),
                ]

        return m


def _is_any(rule: Value, rules: tuple[Rule, ...]) -> Value:
    return Cat(rule == one for one in rules).any()
