"""What the switch itself serves."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bridge_function import CapturedLayout
from .completer import AnswerLayout, Completer
from .fence import Fence
from .local_column import DeadColumn, LocalColumn
from .messages import MessageUnit
from .parts import (
    ConfigAccessSignature,
    CreditAmountsLayout,
    DeadRowLayout,
    PostedRowsLayout,
    ReportLayout,
    RoutedBeatLayout,
)
from .route import BridgeLayout
from .tlp import SEGMENT_DWORDS, TlpBeatLayout, TlpClass, TlpHeaderLayout

__all__ = ["LocalUnit"]


class LocalUnit(wiring.Component):
    """Serve and refuse requests, and take and make messages, for all ports of a switch.

    Each ingress port has a :class:`LocalColumn`, each egress port a :class:`DeadColumn`; the
    :class:`Completer` answers their requests, the :class:`MessageUnit` takes their messages. What
    it makes of a downstream port's messages goes up behind the posted TLPs that the port sent up
    before them: a :class:`Fence` holds them until those have left.

    Answers and messages leave as if from one more ingress port, into queues of ``answer_rows`` TLPs
    for each egress port and class. What leaves has room there: rows are counted, so there is no
    backpressure, and a port that takes nothing delays no other.

    When a port's link goes down, what came from it is dropped, its credits returned; when the
    upstream port's does, all that is held is, and what the switch has to tell is forgotten. What is
    within the pipeline at that time still leaves, while the link is down. ``link_up`` stays
    low for 16 cycles at least, and falls at most 3 times in the time a column takes to empty.

    Latency is 10 cycles from a request to its answer, 10 from an interrupt message to its own.
    Throughput is 1 TLP out per cycle; when both wait, answers and messages alternate. To one port,
    answers are bounded by ``answer_rows`` in the time from request to the row's return.

    Specification: PCI Express Base Specification, completion and message rules (2.2.8, 2.2.9,
    2.3.1), as :class:`Completer` and :class:`MessageUnit` say.

    Parameters
    ----------
    port_count, segment_count : int
        Ports of the switch, 2 to 8; lanes of its beats, 1, 2 or 4.
    nonposted_rows, posted_rows : int
        Beats with local requests, and with local messages, that each column holds: as many as its
        port advertises header credits suffice.
    answer_rows : int
        TLPs of each class that the queue (local, j) of every egress port j holds.

    Members
    -------
    i : In(RoutedBeatLayout(port_count, segment_count)).array(port_count)
        Beats of each ingress port, strobes. What is not local, or not ``sop``, is ignored, and so
        are broadcasts but for PME_Turn_Off.
    posted : In(PostedRowsLayout()).array(port_count)
        Posted rows in the crosspoint from each downstream port to the upstream port; that of port
        0 is ignored.
    freed : Out(CreditAmountsLayout(1, 9)).array(port_count)
        Credits that return to each ingress port in this cycle, those of whole TLPs but broadcasts;
        registered.
    dead : In(stream.Signature(DeadRowLayout(segment_count))).array(port_count)
        Rows with requests that each egress port could not send; their credits have returned.
    bridges : In(BridgeLayout(port_count)).array(port_count)
        Of which ``bus``, ``device`` and ``link_up`` count. The number of the upstream port is
        current 2 cycles after ``captured``.
    config : Out(ConfigAccessSignature())
        Access to the functions' configuration space. Registered.
    captured : Out(CapturedLayout())
        Strobe: number that the upstream port's function gets. Registered.
    reports : In(stream.Signature(ReportLayout())).array(port_count)
        What the ports' functions have to tell.
    o : Out(TlpBeatLayout(1))
        TLPs of one segment, strobes. Registered.
    o_egress : Out(port_count)
        One-hot egress port of ``o``; 0 when there is none. Registered.
    left : In(CreditAmountsLayout(1, 2)).array(port_count)
        Credits of what has left queue (local, j), of which ``headers`` counts.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: list[Any]
    posted: list[Any]
    freed: list[Any]
    dead: list[Any]
    bridges: list[Any]
    config: Any
    captured: Any
    reports: list[Any]
    o: Any
    o_egress: Signal
    left: list[Any]

    def __init__(
        self,
        *,
        port_count: int,
        segment_count: int,
        nonposted_rows: int,
        posted_rows: int,
        answer_rows: int,
    ):
        self.port_count = port_count
        self.segment_count = segment_count
        self._completer = Completer(port_count=port_count, row_count=answer_rows)
        self._messages = MessageUnit(port_count=port_count, row_count=answer_rows)
        self._columns = [
            LocalColumn(
                port_count=port_count,
                segment_count=segment_count,
                nonposted_rows=nonposted_rows,
                posted_rows=posted_rows,
            )
            for _ in range(port_count)
        ]
        super().__init__(
            {
                "i": In(RoutedBeatLayout(port_count, segment_count)).array(port_count),
                "posted": In(PostedRowsLayout()).array(port_count),
                "freed": Out(CreditAmountsLayout(1, 9)).array(port_count),
                "dead": In(stream.Signature(DeadRowLayout(segment_count))).array(port_count),
                "bridges": In(BridgeLayout(port_count)).array(port_count),
                "config": Out(ConfigAccessSignature()),
                "captured": Out(CapturedLayout()),
                "reports": In(stream.Signature(ReportLayout())).array(port_count),
                "o": Out(TlpBeatLayout(1)),
                "o_egress": Out(port_count),
                "left": In(CreditAmountsLayout(1, 2)).array(port_count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.completer = completer = self._completer
        m.submodules.messages = messages = self._messages

        up = Signal(self.port_count)
        down = Signal(self.port_count, init=-1)
        for number, bridge in enumerate(self.bridges):
            m.d.sync += [
                up[number].eq(bridge.link_up),
                down[number].eq(~(bridge.link_up & self.bridges[0].link_up)),
            ]
            m.d.comb += [
                completer.bridges[number].eq(bridge),
                messages.bridges[number].eq(bridge),
            ]

        for number, column in enumerate(self._columns):
            m.submodules[f"column_{number}"] = column
            m.submodules[f"dead_{number}"] = dead = DeadColumn(
                port_count=self.port_count, segment_count=self.segment_count
            )
            wiring.connect(m, column.requests, completer.requests[number])
            if number:
                # A message comes out of its column 4 cycles after its beat; of a posted row in it
                # or before it, `posted` knows after 2.
                m.submodules[f"fence_{number}"] = fence = Fence(shape=TlpHeaderLayout())
                wiring.connect(m, column.messages, fence.i)
                wiring.connect(m, fence.o, messages.i[number])
                m.d.comb += fence.posted.eq(self.posted[number])
            else:
                wiring.connect(m, column.messages, messages.i[0])
                m.d.comb += [
                    messages.turn_off.eq(column.turn_off),
                    messages.left.eq(self.left[0][TlpClass.POSTED.value].headers),
                ]
            wiring.connect(m, wiring.flipped(self.dead[number]), dead.i)
            wiring.connect(m, dead.o, completer.dead[number])
            wiring.connect(m, wiring.flipped(self.reports[number]), messages.reports[number])
            left = self.left[number]
            m.d.comb += [
                column.i.eq(self.i[number]),
                column.drop.eq(down[number]),
                self.freed[number].eq(column.freed),
                dead.down.eq(down),
                completer.left[number].eq(left[TlpClass.COMPLETION.value].headers),
            ]
        wiring.connect(m, completer.config, wiring.flipped(self.config))
        m.d.comb += [self.captured.eq(completer.captured), messages.link_up.eq(up)]

        # A message waits for a cycle without an answer: every other cycle begins none meanwhile.
        turn = Signal()
        m.d.sync += turn.eq(~turn)
        m.d.comb += [
            completer.hold.eq(messages.o.valid & turn),
            messages.o.ready.eq(~completer.o_valid),
        ]

        tlp: Any = Signal(AnswerLayout(self.port_count))
        m.d.comb += Value.cast(tlp).eq(
            Mux(completer.o_valid, Value.cast(completer.o), Value.cast(messages.o.payload))
        )
        header = Signal.like(tlp.header, reset_less=True)
        dword = Signal(32, reset_less=True)
        segment = self.o.segments[0]
        m.d.sync += [
            self.o.valid.eq(completer.o_valid | messages.o.valid),
            self.o_egress.eq(Mux(completer.o_valid | messages.o.valid, tlp.port, 0)),
            header.eq(tlp.header),
            dword.eq(tlp.data),
        ]
        m.d.comb += [
            segment.data.eq(dword),
            segment.header.eq(header),
            segment.sop.eq(1),
            segment.eop.eq(1),
            # One DW: data of an answer or an interrupt.
            segment.empty.eq(Mux(header.has_data, SEGMENT_DWORDS - 1, SEGMENT_DWORDS)),
        ]
        return m
