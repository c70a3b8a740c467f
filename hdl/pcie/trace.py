"""Trace of a port: a record for every TLP, which says where it went and by which rule."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..stream import Queue
from .parts import RoutedBeatLayout
from .route import check_ports
from .rules import Action, Rule
from .tlp import TlpHeaderLayout, TlpType

__all__ = ["TraceRecordLayout", "Tracer"]

_LOST_BITS = 16


class TraceRecordLayout(data.StructLayout):
    """What is told of one TLP: 32 bytes, the same for every switch.

    Written to memory or a file as a little-endian number; ``headrace pcie-trace`` reads it.

    Fields
    ------
    egress : 8 bits
        One-hot egress port; 0 if it was not forwarded, or is a broadcast.
    ingress, function, local, to_type_0, action, rule
        Port it came from, and the fields of :class:`RouteLayout`.
    type : TlpType
        As it leaves: Configuration Type 0 with ``to_type_0``, though it came as Type 1.
    has_data, four_dwords, length, tc, attributes, at, poisoned, tag, requester, has_prefix, prefix
        Of :class:`TlpHeaderLayout`.
    specific : 72 bits
        Likewise, the union: address, target or completer, as ``type`` says.
    lost : 16 bits
        TLPs just before this one of which there is no record, for nobody read them; 65535 stands
        for all higher numbers.
    time : 32 bits
        Cycle, modulo 2**32, in which the TLP was routed.
    reserved_0, reserved_1, reserved_2
        0.
    """

    def __init__(self):
        header = TlpHeaderLayout()
        super().__init__(
            {
                "egress": 8,
                "ingress": 3,
                "function": 3,
                "local": 1,
                "to_type_0": 1,
                "action": Action,
                "rule": Rule,
                "type": TlpType,
                "has_data": 1,
                "four_dwords": 1,
                "poisoned": 1,
                "length": 10,
                "tc": 3,
                "attributes": header["attributes"].shape,
                "at": 2,
                "has_prefix": 1,
                "reserved_0": 13,
                "tag": 14,
                "reserved_1": 2,
                "requester": 16,
                "prefix": 32,
                "specific": header["specific"].shape,
                "reserved_2": 8,
                "lost": _LOST_BITS,
                "time": 32,
            }
        )


#: Fields of a record that are fields of the header, and of the route.
_OF_HEADER = ("type", "has_data", "four_dwords", "poisoned", "length", "tc", "attributes", "at")
_OF_HEADER += ("has_prefix", "tag", "requester", "prefix", "specific")
_OF_ROUTE = ("function", "local", "to_type_0", "action", "rule")


class Tracer(wiring.Component):
    """Make a record of every TLP that a port's router has decided about.

    Records are in the order of the TLPs. They wait in a queue; the datapath never waits for them:
    when the queue is full the records of a whole beat are left out, and the next one that is not
    says how many were. So the trace of a burst is whole if it has ``depth`` beats or less, and of
    a longer one the reader knows what it has not seen.

    Latency is 5 cycles from a beat to its first record. Throughput is a beat per cycle in, until
    the queue is full, and a record per cycle out.

    Specification: this docstring and :class:`TraceRecordLayout`.

    Parameters
    ----------
    port_count : int
        Ports of the switch, 2 to 8.
    segment_count : int
        Segments a beat, 1, 2 or 4.
    port : int
        Ingress port.
    depth : int
        Beats with a TLP's beginning that the queue holds at least, 2 or more.

    Members
    -------
    i : In(RoutedBeatLayout(port_count, segment_count))
        What the router puts out.
    o : Out(stream.Signature(TraceRecordLayout()))
        Records, registered.
    lost : Out(range(segment_count + 1))
        Records left out, 2 cycles after their beat, registered.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    i: data.View
    o: stream.Interface
    lost: Signal

    def __init__(self, *, port_count: int, segment_count: int, port: int, depth: int):
        check_ports(port_count, port)
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth!r}")
        self.port_count = port_count
        self.segment_count = segment_count
        self.port = port
        self.depth = depth
        super().__init__(
            {
                "i": In(RoutedBeatLayout(port_count, segment_count)),
                "o": Out(stream.Signature(TraceRecordLayout())),
                "lost": Out(range(segment_count + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(
            shape=data.StructLayout(
                {
                    "present": self.segment_count,
                    "records": data.ArrayLayout(TraceRecordLayout(), self.segment_count),
                }
            ),
            depth=self.depth,
        )
        self._write(m, queue)
        self._read(m, queue)
        return m

    def _write(self, m: Module, queue: Queue) -> None:
        """Write a row for each beat in which a TLP begins."""
        time = Signal(32)
        m.d.sync += time.eq(time + 1)

        present = Signal(self.segment_count)
        records = Signal(data.ArrayLayout(TraceRecordLayout(), self.segment_count), reset_less=True)
        for lane in range(self.segment_count):
            segment, route = self.i.beat.segments[lane], self.i.routes[lane]
            m.d.sync += [
                present[lane].eq(self.i.beat.valid[lane] & segment.sop),
                *(records[lane][name].eq(segment.header[name]) for name in _OF_HEADER),
                *(records[lane][name].eq(route[name]) for name in _OF_ROUTE),
                records[lane].egress.eq(Mux(route.local, 0, route.egress)),
                records[lane].ingress.eq(self.port),
                records[lane].time.eq(time),
            ]

        missing = Signal(_LOST_BITS)
        more = Signal(_LOST_BITS + 1)
        m.d.comb += [
            more.eq(missing + sum(present, C(0, 1))),
            queue.i.valid.eq(present.any()),
            queue.i.p.present.eq(present),
            queue.i.p.records.eq(records),
        ]
        # The first record of the row says what is missing before it.
        for lane in range(self.segment_count):
            with m.If(~present[:lane].any()):
                m.d.comb += queue.i.p.records[lane].lost.eq(missing)
            with m.Else():
                m.d.comb += queue.i.p.records[lane].lost.eq(0)
        m.d.sync += self.lost.eq(0)
        with m.If(queue.i.valid & queue.i.ready):
            m.d.sync += missing.eq(0)
        with m.Elif(queue.i.valid):
            m.d.sync += [
                missing.eq(Mux(more[-1], (1 << _LOST_BITS) - 1, more)),
                self.lost.eq(sum(present, C(0, 1))),
            ]

    def _read(self, m: Module, queue: Queue) -> None:
        """Give out the records of a row one by one, from the lowest lane."""
        done = Signal(self.segment_count)
        left = Signal(self.segment_count)
        lowest = Signal(self.segment_count)
        free = Signal()
        record = Signal(TraceRecordLayout(), reset_less=True)
        m.d.comb += [
            left.eq(queue.o.p.present & ~done),
            lowest.eq(left & ~(left - 1)),
            free.eq(self.o.ready | ~self.o.valid),
            queue.o.ready.eq(free & (left == lowest)),
            self.o.payload.eq(record),
        ]
        with m.If(free):
            rows = [queue.o.p.records[lane] for lane in range(self.segment_count)]
            m.d.sync += [
                self.o.valid.eq(queue.o.valid),
                Value.cast(record).eq(select_one_hot(lowest, [Value.cast(row) for row in rows])),
            ]
            with m.If(queue.o.valid):
                m.d.sync += done.eq(Mux(left == lowest, 0, done | lowest))
