"""Transmit side of a port: its queues from every other port, and what chooses among them."""

from collections.abc import Iterable, Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .credit_gate import CreditGate
from .crosspoint import Crosspoint, rows_needed
from .egress import Egress
from .parts import CreditAmountsLayout, DeadRowLayout, PostedRowsLayout
from .port import CreditCountsLayout
from .receive_credits import RETURNED_BITS
from .route import check_ports
from .tlp import CLASS_COUNT, TlpBeatLayout

__all__ = ["Column", "give_credits"]


def give_credits(to: Any, amounts: Any) -> list[Any]:
    """Assign credits of each class, whose amounts may be of other widths."""
    return [
        getattr(inner, name).eq(getattr(outer, name))
        for inner, outer in zip(to, amounts, strict=True)
        for name in ("headers", "data")
    ]


class Column(wiring.Component):
    """Queue what every other port, and the switch itself, sends to one port, and send it.

    A :class:`Crosspoint` for each source, the :class:`Egress` that takes turns among them, and the
    :class:`CreditGate` that says what the link partner has room for. Columns share nothing, so
    that a port that cannot send holds up nobody but those who send to it.

    Latency is 6 cycles from a beat to ``o``. Throughput is ``segment_count`` segments a cycle.

    Specification: those of its parts.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8: all but one of them are sources.
    segment_count : int
        Segments a beat: 1, 2 or 4.
    credits : sequence of 3 pairs
        Header and data credits that each source port advertises, by class.
    answer_rows : int
        TLPs of each class that the switch itself has waiting here at most.

    Members
    -------
    i : In(TlpBeatLayout(segment_count)).array(port_count - 1)
        Beats of the other ports in their order.
    select : In(segment_count).array(port_count - 1)
        Lanes of them that go to this port.
    freed : Out(CreditAmountsLayout(3, 11)).array(port_count - 1)
        Credits of what has left, without those of broadcasts. Registered.
    shared_left : Out(range(segment_count + 1)).array(port_count - 1)
        Broadcasts that have left. Registered.
    posted : Out(PostedRowsLayout()).array(port_count - 1)
        Posted rows that wait. Registered.
    local : In(TlpBeatLayout(1))
        What the switch itself sends.
    local_select : In(1)
        It goes to this port.
    local_freed : Out(CreditAmountsLayout(1, 2))
        What of it has left. Registered.
    limits, infinite, scale, link_up : In
        The port's ``tx_limits``, ``tx_infinite``, ``tx_scale`` and ``link_up``.
    port_up : In(1)
        TLPs can leave: the link is up, not in reset and not contained.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        What leaves. Registered.
    dead : Out(stream.Signature(DeadRowLayout(segment_count)))
        Requests that cannot leave, with the place of their source in ``i``. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: list[Any]
    select: list[Signal]
    freed: list[Any]
    shared_left: list[Signal]
    posted: list[Any]
    local: Any
    local_select: Signal
    local_freed: Any
    limits: Any
    infinite: Signal
    scale: Signal
    link_up: Signal
    port_up: Signal
    o: stream.Interface
    dead: stream.Interface

    def __init__(
        self,
        *,
        port_count: int,
        segment_count: int,
        credits: Sequence[Sequence[int]],
        answer_rows: int,
    ):
        check_ports(port_count)
        beat = TlpBeatLayout(segment_count)
        self.port_count = port_count
        self.segment_count = segment_count
        self.row_counts = [rows_needed(segment_count, *pair) for pair in credits]
        self.answer_rows = answer_rows
        sources = port_count - 1
        super().__init__(
            {
                "i": In(beat).array(sources),
                "select": In(segment_count).array(sources),
                "freed": Out(CreditAmountsLayout(*RETURNED_BITS)).array(sources),
                "shared_left": Out(range(segment_count + 1)).array(sources),
                "posted": Out(PostedRowsLayout()).array(sources),
                "local": In(TlpBeatLayout(1)),
                "local_select": In(1),
                "local_freed": Out(CreditAmountsLayout(1, 2)),
                "limits": In(CreditCountsLayout()),
                "infinite": In(2 * CLASS_COUNT),
                "scale": In(2),
                "link_up": In(1),
                "port_up": In(1),
                "o": Out(stream.Signature(beat)),
                "dead": Out(stream.Signature(DeadRowLayout(segment_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = gate = CreditGate()
        m.submodules.egress = egress = Egress(
            source_count=self.port_count, segment_count=self.segment_count
        )
        for place in range(self.port_count - 1):
            crosspoint = Crosspoint(segment_count=self.segment_count, row_counts=self.row_counts)
            m.submodules[f"crosspoint_{place}"] = crosspoint
            m.d.comb += [
                crosspoint.i.eq(self.i[place]),
                crosspoint.select.eq(self.select[place]),
                *give_credits(self.freed[place], crosspoint.freed),
                self.shared_left[place].eq(crosspoint.shared_left),
                self.posted[place].eq(crosspoint.posted),
            ]
            for number in range(CLASS_COUNT):
                wiring.connect(m, crosspoint.heads[number], egress.heads[place][number])
                m.d.comb += egress.segments[place][number].eq(crosspoint.segments[number])

        m.submodules.crosspoint_local = crosspoint = Crosspoint(
            segment_count=1, row_counts=[self.answer_rows] * CLASS_COUNT
        )
        m.d.comb += [
            crosspoint.i.eq(self.local),
            crosspoint.select.eq(self.local_select),
            *give_credits(self.local_freed, crosspoint.freed),
        ]
        for number in range(CLASS_COUNT):
            m.d.comb += self._widen(
                crosspoint.heads[number], egress.heads[self.port_count - 1][number]
            )
            segment = crosspoint.segments[number][0]
            m.d.comb += egress.segments[self.port_count - 1][number][0].eq(segment)

        m.d.comb += [
            gate.limits.eq(self.limits),
            gate.infinite.eq(self.infinite),
            gate.scale.eq(self.scale),
            gate.link_up.eq(self.link_up),
            gate.spend.eq(egress.spend),
            # What is infinite keeps all ones in fewer bits.
            *give_credits(egress.available, gate.available),
            egress.port_up.eq(self.port_up),
        ]
        wiring.connect(m, egress.o, wiring.flipped(self.o))
        wiring.connect(m, egress.dead, wiring.flipped(self.dead))
        return m

    def _widen(self, head: Any, offered: Any) -> Iterable[Any]:
        """Connect a head of one lane to one of ``segment_count``, whose others are idle."""
        yield offered.valid.eq(head.valid)
        yield offered.allowed.eq(head.allowed)
        yield offered.lanes[0].eq(head.lanes[0])
        for name in ("first", "first_cost", "headers", "cost"):
            yield getattr(offered.needs, name).eq(getattr(head.needs, name))
        yield head.take.eq(offered.take)
        yield head.whole.eq(offered.whole)
