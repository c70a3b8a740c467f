"""What one port brought that the switch itself serves or answers."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .item_queue import ItemQueue, ItemSerializer
from .message_parts import MessageCode
from .parts import CreditAmountsLayout, DeadRowLayout, LocalRequestLayout, RoutedBeatLayout
from .rules import Rule
from .tlp import TlpClass, TlpHeaderLayout, class_of, data_credits

__all__ = ["DeadColumn", "DeadRequestLayout", "LocalColumn"]


class DeadRequestLayout(data.StructLayout):
    """Request to be refused.

    Fields
    ------
    header : TlpHeaderLayout
        Of the request.
    port : port_count bits
        One-hot: the port that it came from.
    """

    def __init__(self, port_count: int):
        super().__init__({"header": TlpHeaderLayout(), "port": port_count})


class LocalColumn(wiring.Component):
    """Queue one ingress port's local requests and messages.

    Of each beat the lanes with ``sop`` whose route is ``local`` are taken, the others belong to
    crosspoints. Posted ones go to ``messages``, the rest to ``requests``; each leaves in its
    order. Their credits return as they leave, all data credits of the TLP at once, though of it
    only the first DW of a request is kept.

    Broadcasts belong to the crosspoints, too, which return their credits. One of them,
    PME_Turn_Off, is told of as it passes.

    While ``drop`` is high, and of what came before it fell, everything is dropped, with its credits
    returned; see :class:`ItemQueue`.

    Latency is 4 cycles, 1 to ``turn_off``. Throughput is 1 beat in, 1 request and 1 message out per
    cycle.

    Specification: this docstring.

    Parameters
    ----------
    port_count, segment_count : int
        Ports of the switch; lanes of a beat, 1, 2 or 4.
    nonposted_rows, posted_rows : int
        Beats that the queues hold: as many as the port advertises header credits suffice.

    Members
    -------
    i : In(RoutedBeatLayout(port_count, segment_count))
        Beats of the port, a strobe.
    drop : In(1)
        The port's link, or the upstream port's, is down.
    requests : Out(stream.Signature(LocalRequestLayout(port_count)))
        To be answered; an offer is taken back when ``drop`` rises.
    messages : Out(stream.Signature(TlpHeaderLayout()))
        Headers of messages; likewise.
    turn_off : Out(1)
        Strobe: PME_Turn_Off goes to the downstream ports; registered.
    freed : Out(CreditAmountsLayout(1, 9))
        Credits that return to the port in this cycle; registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    drop: Signal
    requests: stream.Interface
    messages: stream.Interface
    turn_off: Signal
    freed: Any

    def __init__(
        self, *, port_count: int, segment_count: int, nonposted_rows: int, posted_rows: int
    ):
        self.port_count = port_count
        self.segment_count = segment_count
        request = LocalRequestLayout(port_count)
        self._requests = ItemQueue(
            shape=request, lane_count=segment_count, row_count=nonposted_rows
        )
        self._messages = ItemQueue(
            shape=TlpHeaderLayout(), lane_count=segment_count, row_count=posted_rows
        )
        super().__init__(
            {
                "i": In(RoutedBeatLayout(port_count, segment_count)),
                "drop": In(1),
                "requests": Out(stream.Signature(request)),
                "messages": Out(stream.Signature(TlpHeaderLayout())),
                "turn_off": Out(1),
                "freed": Out(CreditAmountsLayout(1, 9)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.request_queue = requests = self._requests
        m.submodules.message_queue = messages = self._messages

        turns_off = Signal(self.segment_count)
        for lane in range(self.segment_count):
            segment = self.i.beat.segments[lane]
            route = self.i.routes[lane]
            request: Any = Signal(LocalRequestLayout(self.port_count), name=f"request_{lane}")
            is_local = Signal(name=f"is_local_{lane}")
            is_posted = Signal(name=f"is_posted_{lane}")
            is_broadcast = Signal(name=f"is_broadcast_{lane}")
            m.d.comb += [
                is_local.eq(self.i.beat.valid[lane] & segment.sop & route.local),
                is_posted.eq(class_of(segment.header) == TlpClass.POSTED.value),
                requests.i.lanes[lane].eq(is_local & ~is_posted),
                is_broadcast.eq(route.rule == Rule.MESSAGE_BROADCAST),
                turns_off[lane].eq(
                    is_local
                    & is_broadcast
                    & (segment.header.specific.message.code == MessageCode.PME_TURN_OFF)
                ),
                messages.i.lanes[lane].eq(is_local & is_posted & ~is_broadcast),
                request.header.eq(segment.header),
                request.data.eq(segment.data[:32]),
                request.route.eq(route),
                requests.i.items[lane].eq(request),
                messages.i.items[lane].eq(segment.header),
            ]
        m.d.sync += self.turn_off.eq(turns_off.any())

        wiring.connect(m, requests.o, wiring.flipped(self.requests))
        wiring.connect(m, messages.o, wiring.flipped(self.messages))
        left = (
            (TlpClass.NON_POSTED, requests, requests.o.p.header),
            (TlpClass.POSTED, messages, messages.o.p),
        )
        for tlp_class, queue, header in left:
            freed = self.freed[tlp_class.value]
            m.d.comb += queue.drop.eq(self.drop)
            m.d.sync += [
                freed.headers.eq(queue.left),
                freed.data.eq(Mux(queue.left, data_credits(header), 0)),
            ]
        return m


class DeadColumn(wiring.Component):
    """Take requests out of the rows that a port without link cannot send.

    Lanes without ``sop`` go on with requests that began before: they are ignored. A request is
    dropped when the link of the port that it came from is down or was, since its row was offered:
    there is nobody to answer.

    Latency is 1 cycle. Throughput is 1 request per cycle.

    Specification: this docstring.

    Parameters
    ----------
    port_count, segment_count : int
        Ports of the switch; lanes of a row, 1, 2 or 4.

    Members
    -------
    i : In(stream.Signature(DeadRowLayout(segment_count)))
        Rows; those of a port that does not exist are dropped. ``i.ready`` depends combinationally
        on all inputs.
    down : In(port_count)
        Bit n: the link of port n, or that of the upstream port, is down.
    o : Out(stream.Signature(DeadRequestLayout(port_count)))
        Requests; an offer is taken back when a link goes down.
    """

    i: stream.Interface
    down: Signal
    o: stream.Interface

    def __init__(self, *, port_count: int, segment_count: int):
        self.port_count = port_count
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(stream.Signature(DeadRowLayout(segment_count))),
                "down": In(port_count),
                "o": Out(stream.Signature(DeadRequestLayout(port_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.serializer = serializer = ItemSerializer(
            shape=DeadRequestLayout(self.port_count), lane_count=self.segment_count
        )

        port = Signal(self.port_count)
        row = serializer.i.p
        m.d.comb += port.eq(Cat(self.i.p.ingress == n for n in range(self.port_count)))
        for lane in range(self.segment_count):
            segment = self.i.p.beat.segments[lane]
            m.d.comb += [
                row.lanes[lane].eq(self.i.p.beat.valid[lane] & segment.sop),
                row.items[lane].eq(Cat(segment.header, port)),
            ]

        was_down = Signal()
        is_down = Signal()
        m.d.comb += is_down.eq(~(port & ~self.down).any())
        with m.If(serializer.i.ready | ~self.i.valid):
            m.d.sync += was_down.eq(0)
        with m.Elif(is_down):
            m.d.sync += was_down.eq(1)

        m.d.comb += [
            serializer.i.valid.eq(self.i.valid),
            self.i.ready.eq(serializer.i.ready),
            serializer.i_stale.eq(was_down | is_down),
            serializer.drop.eq((serializer.o.p.port & self.down).any()),
        ]
        wiring.connect(m, serializer.o, wiring.flipped(self.o))
        return m
