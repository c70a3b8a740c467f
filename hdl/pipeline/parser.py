"""The programmable packet parser."""

from collections.abc import Mapping
from pathlib import Path

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import DelayLine
from hdl.stream import PacketLayout, PacketSignature, Queue

from .described import DescribedLayout, DescriptorLayout
from .graph import compile_graph
from .icrc_check import IcrcCheck, IcrcVerdict
from .parser_bus import (
    WINDOW_BYTES,
    BusLayout,
    ParseError,
    TableWriteLayout,
    index_limit,
)
from .parser_stage import ParserStage
from .window import Window

__all__ = ["DEFAULT_GRAPH", "Parser"]

#: From Ethernet to the extended transport headers of RoCEv2, with tunnels.
DEFAULT_GRAPH = Path(__file__).parent / "graphs" / "default.toml"
# Cycles that Queue takes from its input to its output, empty.
_QUEUE_LATENCY = 3


class Parser(wiring.Component):
    """Find the headers of each packet, as a graph of tables says, and check its ICRC.

    Each packet leaves as it came, with a descriptor beside its beats: which headers it has, where,
    copies of their first bytes (windows), and an error where the graph could not be followed. A
    packet whose headers are cut, contradict themselves, are too many or reach too deep has an error
    code; nothing in it holds up or alters a neighbour.

    The tables are in two banks. A packet is parsed under the bank that ``bank`` names as its first
    beat is accepted. A row written to the bank that is named, or under which a packet is still in
    flight, is refused (``refused``), so that no packet sees half of a graph: write the
    other bank when ``busy`` says that it is free, then name it.

    Latency is :attr:`latency` cycles for every beat, unless the output refuses beats: at narrow
    beats most of it is the time that 256 bytes of headers and a window take to arrive. Throughput
    is 1 beat per cycle, whatever the packets: each step of the graph is a stage of its own, which
    every beat passes.

    Specification: docs/parser.md; hdl/pipeline/graphs/default.toml for the format of graphs.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    header_count : int
        Headers that a packet may have, 1 to 16: the number of stages.
    slots : mapping of str to int
        Windows of the descriptor, up to 7: their names in the graph, and 1 to 64 bytes each.
    graph : path-like
        Graph that both banks hold from the start.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets without FCS. ``i.ready`` is a register.
    o : Out(stream.Signature(DescribedLayout(data_bytes, header_count, slots)))
        The same packets with their descriptors. ``o.valid`` is the AND of two registers.
    bank : In(1)
        Bank for the packets that begin from now on.
    busy : Out(2)
        Bit n: a packet that began under bank n is still being parsed.
    write : In({valid: 1, row: TableWriteLayout})
        Row for the tables, taken or refused in every cycle that ``valid`` is set.
    refused : Out(1)
        Pulse: a row was refused, since its bank was in use.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    GraphError
        If the graph cannot become tables.
    """

    i: stream.Interface
    o: stream.Interface
    bank: Signal
    busy: Signal
    write: data.View
    refused: Signal

    def __init__(
        self,
        *,
        data_bytes: int,
        header_count: int,
        slots: Mapping[str, int],
        graph: Path | str = DEFAULT_GRAPH,
    ):
        if not 1 <= header_count <= 16:
            raise ValueError(f"header_count must be 1 to 16, not {header_count!r}")
        if not 1 <= len(slots) <= 7:
            raise ValueError(f"slots must be 1 to 7, not {len(slots)}")
        if not all(1 <= size <= WINDOW_BYTES for size in slots.values()):
            raise ValueError(f"slots must have 1 to {WINDOW_BYTES} bytes, not {dict(slots)!r}")
        self.data_bytes = data_bytes
        self.header_count = header_count
        self.slots = dict(slots)
        self.tables = compile_graph(Path(graph), list(slots))
        self.described = DescribedLayout(data_bytes, header_count, slots)
        self._icrc = IcrcCheck(data_bytes=data_bytes, slot_count=len(slots))
        # The windows of a packet are full at the latest with the last beat that a stage looks at.
        self._windows = {
            name: Window(data_bytes=data_bytes, window_bytes=size) for name, size in slots.items()
        }
        window_latency = next(iter(self._windows.values())).latency
        # So long a beat is held after the stages: until the verdict, and until its packet's
        # descriptor, which then never makes it wait.
        self._hold = max(self._icrc.latency, index_limit(data_bytes) + window_latency)
        #: Cycles from the input to the output.
        self.latency = 3 + header_count * ParserStage.LATENCY + self._hold + _QUEUE_LATENCY
        #: Beats that may be in flight: the pipeline, and what its ends need to notice a change.
        self.beat_count = 1 << (self.latency + 4 - 1).bit_length()
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(stream.Signature(self.described)),
                "bank": In(1),
                "busy": Out(2),
                "write": In(data.StructLayout({"valid": 1, "row": TableWriteLayout()})),
                "refused": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self._number_beats(m)
        bus = self._read_headers(m, bus)
        descriptors = self._describe(m, bus)
        beats = self._check_icrc(m, bus)

        # A packet's descriptor is there before its beats, and stays until the last of them.
        both = beats.o.valid & descriptors.o.valid
        last = beats.o.p.beat.last
        m.d.comb += [
            self.o.valid.eq(both),
            self.o.p.descriptor.eq(descriptors.o.payload),
            self.o.p.icrc.eq(beats.o.p.icrc),
            self.o.p.beat.eq(beats.o.p.beat),
            beats.o.ready.eq(self.o.ready & descriptors.o.valid),
            descriptors.o.ready.eq(self.o.ready & beats.o.valid & last),
        ]

        # Nothing waits inside, so no more beats are let in than the queues at the end can hold.
        enter = self.i.valid & self.i.ready
        leave = self.o.valid & self.o.ready
        in_flight = Signal(range(self.beat_count + 1))
        after = Signal.like(in_flight)
        m.d.comb += after.eq(in_flight + enter - leave)
        m.d.sync += [in_flight.eq(after), self.i.ready.eq(after < self.beat_count)]
        return m

    def _number_beats(self, m: Module) -> data.View:
        """Cycles 0 to 2: what each beat is in its packet. Returns the first stage's input."""
        size = self.data_bytes
        lane_bits = (size - 1).bit_length()
        layout = BusLayout(size, 0, len(self.slots))

        beat = Signal(PacketLayout(size), reset_less=True)
        valid = Signal()
        first, in_packet, bank = Signal(reset_less=True), Signal(), Signal(reset_less=True)
        enter = self.i.valid & self.i.ready
        m.d.sync += [valid.eq(enter), beat.eq(self.i.payload)]
        with m.If(enter):
            m.d.sync += [in_packet.eq(~self.i.p.last), first.eq(~in_packet)]
            with m.If(~in_packet):
                m.d.sync += bank.eq(self.bank)

        # Bytes not kept are zeroed. The last kept lane counts the bytes.
        edges = beat.keep & ~Cat(beat.keep[1:], C(0, 1))
        lane = Cat(
            Cat(edges[n] for n in range(size) if n >> bit & 1).any() for bit in range(lane_bits)
        )
        counted = Signal(layout, reset_less=True)
        counted_lane = Signal(max(1, lane_bits), reset_less=True)
        counted_valid = Signal()
        limit = index_limit(size)
        index = Signal(range(limit + 1), reset_less=True)
        m.d.comb += index.eq(Mux(first, 0, Mux(counted.index == limit, limit, counted.index + 1)))
        m.d.sync += counted_valid.eq(valid)
        with m.If(valid):
            m.d.sync += [
                counted.beat.eq(beat),
                counted.first.eq(first),
                counted.bank.eq(bank),
                counted.index.eq(index),
                counted_lane.eq(lane),
                *(
                    counted.beat.data.word_select(n, 8).eq(
                        Mux(beat.keep[n], beat.data.word_select(n, 8), 0)
                    )
                    for n in range(size)
                ),
            ]

        numbered = Signal(layout, reset_less=True)
        numbered_valid = Signal()
        m.d.sync += [
            numbered_valid.eq(counted_valid),
            numbered.eq(counted),
            numbered.end.eq(
                Mux(counted.index == limit, -1, Cat(counted_lane[:lane_bits], counted.index) + 1)
            ),
            numbered.cursor.known.eq(1),
            numbered.cursor.state.eq(1),
            numbered.cursor.offset.eq(0),
        ]
        bus = Signal(layout)
        m.d.comb += [bus.eq(numbered), bus.valid.eq(numbered_valid)]
        return bus

    def _read_headers(self, m: Module, bus: data.View) -> data.View:
        """Pass ``bus`` through a stage for each header, and keep their tables."""
        write = Signal.like(self.write)
        m.d.sync += [
            write.eq(self.write),
            write.valid.eq(0),
            self.refused.eq(0),
        ]
        in_use = self.busy | Cat(~self.bank, self.bank)
        with m.If(self.write.valid):
            refused = in_use.bit_select(self.write.row.bank, 1)
            m.d.sync += [write.valid.eq(~refused), self.refused.eq(refused)]

        for number in range(self.header_count):
            stage = ParserStage(
                data_bytes=self.data_bytes,
                number=number,
                slot_count=len(self.slots),
                tables=self.tables,
            )
            m.submodules[f"stage_{number}"] = stage
            m.d.comb += [stage.i.eq(bus), stage.write.eq(write)]
            bus = stage.o

        # A bank is in use from the cycle a packet's first beat is at the input to its last stage.
        entered = self.i.valid & self.i.ready
        in_packet = Signal()
        bank = Signal()
        with m.If(entered):
            m.d.sync += in_packet.eq(~self.i.p.last)
            with m.If(~in_packet):
                m.d.sync += bank.eq(self.bank)
        begins = entered & ~in_packet
        leaves = bus.valid & bus.beat.last
        for number in range(2):
            count = Signal(range(self.beat_count + 1), name=f"packets_{number}")
            m.d.sync += count.eq(
                count + (begins & (self.bank == number)) - (leaves & (bus.bank == number))
            )
            m.d.comb += self.busy[number].eq(count != 0)
        return bus

    def _describe(self, m: Module, bus: data.View) -> Queue:
        """Make the descriptor of each packet as soon as its beats have passed."""
        layout = DescriptorLayout(self.header_count, self.slots)
        m.submodules.descriptors = queue = Queue(shape=layout, depth=self.beat_count)

        for number, (name, window) in enumerate(self._windows.items()):
            m.submodules[f"window_{name}"] = window
            m.d.comb += [
                window.i.valid.eq(bus.valid),
                window.i.first.eq(bus.first),
                window.i.index.eq(bus.index),
                window.i.known.eq(bus.slots[number].known),
                window.i.offset.eq(bus.slots[number].offset),
                window.i.data.eq(bus.beat.data),
            ]
        latency = next(iter(self._windows.values())).latency

        # The descriptor is complete when the headers are, and every window is full.
        cursor = bus.cursor
        fault = Signal(ParseError)
        ended = Signal()
        m.d.comb += [
            fault.eq(bus.error),
            ended.eq(cursor.known & (cursor.state == 0) & (cursor.offset <= bus.end)),
        ]
        with m.If(bus.error == ParseError.NONE):
            with m.If(cursor.known & (cursor.state != 0)):
                m.d.comb += fault.eq(ParseError.TOO_MANY_HEADERS)
            with m.Elif(~ended):
                m.d.comb += fault.eq(ParseError.TRUNCATED)
        full = [
            ~slot.known | (slot.offset + size <= bus.end)
            for slot, size in zip(bus.slots, self.slots.values(), strict=True)
        ]
        complete = Signal(reset_less=True)
        last, first = Signal(reset_less=True), Signal(reset_less=True)
        valid = Signal()
        summary = Signal(layout, reset_less=True)
        m.d.sync += [
            valid.eq(bus.valid),
            first.eq(bus.first),
            last.eq(bus.beat.last),
            complete.eq(Cat(*full).all() & (fault != ParseError.TRUNCATED)),
            summary.error.eq(fault),
            summary.bank.eq(bus.bank),
            summary.header_bytes.eq(cursor.offset),
            summary.headers.eq(bus.headers),
            *(
                summary.slots[name].valid.eq(slot.known & (slot.offset < bus.end))
                for name, slot in zip(self.slots, bus.slots, strict=True)
            ),
        ]
        described = Signal()
        push = Signal()
        m.d.comb += push.eq(valid & (complete | last) & (first | ~described))
        with m.If(valid):
            m.d.sync += described.eq((described & ~first) | push)

        pushes = Signal(latency - 1)
        m.d.sync += pushes.eq(Cat(push, pushes))
        m.submodules.summaries = summaries = DelayLine(
            shape=unsigned(layout.size), cycles=latency - 1
        )
        m.d.comb += [
            summaries.i.eq(summary),
            queue.i.valid.eq(pushes[-1]),
            queue.i.payload.eq(summaries.o),
            *(queue.i.p.slots[name].window.eq(window.o) for name, window in self._windows.items()),
        ]
        return queue

    def _check_icrc(self, m: Module, bus: data.View) -> Queue:
        """Give each packet's last beat the verdict on its ICRC."""
        layout = data.StructLayout({"icrc": IcrcVerdict(), "beat": PacketLayout(self.data_bytes)})
        m.submodules.beats = queue = Queue(shape=layout, depth=self.beat_count)
        m.submodules.icrc_check = check = self._icrc
        m.submodules.hold = hold = DelayLine(
            shape=unsigned(PacketLayout(self.data_bytes).size), cycles=self._hold
        )
        verdict = Value.cast(check.o)
        if self._hold > check.latency:
            m.submodules.hold_verdict = hold_verdict = DelayLine(
                shape=unsigned(len(verdict)), cycles=self._hold - check.latency
            )
            m.d.comb += hold_verdict.i.eq(verdict)
            verdict = hold_verdict.o
        valids = Signal(self._hold)
        m.d.sync += valids.eq(Cat(bus.valid, valids))
        m.d.comb += [
            *(check.i[name].eq(bus[name]) for name, _ in check.i.shape() if name != "headers"),
            hold.i.eq(bus.beat),
            queue.i.valid.eq(valids[-1]),
            queue.i.p.icrc.eq(verdict),
            queue.i.p.beat.eq(hold.o),
        ]
        return queue
