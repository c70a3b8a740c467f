"""The one memory port of those who write: data, flushes, completion queue entries."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma.memory_port import MemoryRequestLayout, MemoryWriteSignature
from ..stream import PacketLayout, PacketSignature, Queue
from .completion_queues import ENTRY_BYTES
from .config import RoceConfig
from .entry_writer import EntryBeatLayout, EntryPlaceLayout
from .layouts import SpanLayout
from .write_outcomes import row_count

__all__ = ["DataRequestLayout", "WritePort"]

#: Packets whose requests may be begun before they come. An order and its data leave the mover 7
#: cycles apart, and orders come every 2: 4 of them.
_AHEAD = 8
_SLOT_SHIFT = ENTRY_BYTES.bit_length() - 1


class DataRequestLayout(data.StructLayout):
    """A write of ``span``, or a flush of its space.

    Fields
    ------
    span : SpanLayout()
        Of a flush, its ``space`` alone means something.
    is_flush, is_last : 1 bit each
        It is a flush; the last one before an entry, which ``flushed`` tells of.
    """

    def __init__(self):
        super().__init__({"span": SpanLayout(), "is_flush": 1, "is_last": 1})


class WritePort(wiring.Component):
    """Share a memory's write port between data with its flushes and completion queue entries.

    A request of an entry goes before one of data that waits too. A request with bytes goes ahead of
    up to 7 packets that have not passed; turns, one for each, say whose packet is next. Requests
    carry in the low bits of ``tag`` whether they are an entry's and whether they are the last flush
    before one; so responses, which carry it back, find their way.

    All responses are taken as soon as they come, whatever becomes of what waits for them. Their
    statuses wait, in order: there is room for as many as there are rows of :class:`WriteOutcomes`,
    and whoever begins a write has put a row there.

    Latency is 1 cycle from a request or a beat to ``writes``, 3 from a response to ``statuses``.
    Throughput is a request, a beat and a response per cycle, without a gap between packets.

    Specification: the contract of :func:`MemoryWriteSignature`.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    requests : In(stream.Signature(DataRequestLayout()))
        Data and flushes. Its ``ready`` and that of ``entries`` depend combinationally on
        ``writes.request.ready``; that of ``requests`` on ``entries.valid``, too.
    data : In(PacketSignature(data_bytes))
        For each request that is no flush, a packet. Its ``ready`` and that of ``beats`` depend
        combinationally on ``writes.data.ready``.
    entries : In(stream.Signature(EntryPlaceLayout()))
        Where entries are to go. ``valid`` may fall.
    beats : In(stream.Signature(EntryBeatLayout(config)))
        For each of ``entries``, its beats.
    writes : Out(MemoryWriteSignature(data_bytes))
        Registered. ``writes.response.ready`` is 1.
    statuses : Out(stream.Signature(1)).array(2)
        Whether a write has failed: for each of ``requests``, and of ``entries``. Registered.
    flushed : Out(1)
        Strobe, combinational: the last flush before an entry has its response.
    begins, ends : Out(1)
        Strobes, combinational: a request was taken; a response has come.
    """

    requests: stream.Interface
    data: stream.Interface
    entries: stream.Interface
    beats: stream.Interface
    writes: Any
    statuses: list[stream.Interface]
    flushed: Signal
    begins: Signal
    ends: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "requests": In(stream.Signature(DataRequestLayout())),
                "data": In(PacketSignature(config.data_bytes)),
                "entries": In(stream.Signature(EntryPlaceLayout())),
                "beats": In(stream.Signature(EntryBeatLayout(config))),
                "writes": Out(MemoryWriteSignature(config.data_bytes)),
                "statuses": Out(stream.Signature(1)).array(2),
                "flushed": Out(1),
                "begins": Out(1),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Turns of packets, the next one in the lowest bit: whether there is one, and for an entry.
        turns = Signal(_AHEAD)
        for_entry = Signal(_AHEAD, reset_less=True)
        ends_turn = Signal()
        self._request(m, turns, for_entry, ends_turn)

        beat: Any = Signal(PacketLayout(self.config.data_bytes), reset_less=True)
        beat_free = Signal()
        passes = Signal()
        is_entry = for_entry[0]
        m.d.comb += [
            beat_free.eq(self.writes.data.ready | ~self.writes.data.valid),
            self.data.ready.eq(turns[0] & ~is_entry & beat_free),
            self.beats.ready.eq(turns[0] & is_entry & beat_free),
            passes.eq(turns[0] & Mux(is_entry, self.beats.valid, self.data.valid)),
            ends_turn.eq(passes & beat_free & Mux(is_entry, self.beats.p.last, self.data.p.last)),
            self.writes.data.payload.eq(beat),
        ]
        entry_bits = len(self.beats.p.data)
        with m.If(beat_free):
            m.d.sync += [self.writes.data.valid.eq(passes), beat.eq(self.data.payload)]
            with m.If(is_entry):
                # What is not kept stays as it comes.
                m.d.sync += [
                    beat.data[:entry_bits].eq(self.beats.p.data),
                    beat.keep.eq((1 << entry_bits // 8) - 1),
                    beat.last.eq(self.beats.p.last),
                    beat.error.eq(0),
                ]

        response: Any = self.writes.response
        m.d.comb += [
            response.ready.eq(1),
            self.ends.eq(response.valid),
            self.flushed.eq(response.valid & response.p.tag[1]),
        ]
        for number, statuses in enumerate(self.statuses):
            # With narrow beats one row more is outside of their queue.
            m.submodules[f"statuses_{number}"] = queue = Queue(
                shape=1, depth=row_count(self.config) + 1 + self.config.is_narrow, counted=True
            )
            m.d.comb += [
                queue.i.valid.eq(response.valid & (response.p.tag[0] == number)),
                queue.i.payload.eq(response.p.status.any()),
            ]
            wiring.connect(m, queue.o, wiring.flipped(statuses))
        return m

    def _request(self, m: Module, turns: Signal, for_entry: Signal, ends_turn: Signal) -> None:
        """Take a request, and give it a turn."""
        request: Any = Signal(MemoryRequestLayout(), reset_less=True)
        wanted: Any = self.requests.p
        place: Any = self.entries.p
        free = Signal()
        takes_entry = Signal()
        takes_data = Signal()
        m.d.comb += [
            free.eq((self.writes.request.ready | ~self.writes.request.valid) & ~turns[-1]),
            self.entries.ready.eq(free),
            self.requests.ready.eq(free & ~self.entries.valid),
            takes_entry.eq(free & self.entries.valid),
            takes_data.eq(self.requests.ready & self.requests.valid),
            self.begins.eq(takes_entry | takes_data),
            self.writes.request.payload.eq(request),
        ]
        with m.If(self.writes.request.ready):
            m.d.sync += self.writes.request.valid.eq(0)
        with m.If(free):
            m.d.sync += [
                self.writes.request.valid.eq(self.begins),
                request.space.eq(wanted.span.space),
                request.address.eq(wanted.span.address),
                request.length.eq(Mux(wanted.is_flush, 0, wanted.span.length)),
                request.tag.eq(wanted.is_last << 1),
            ]
            with m.If(self.entries.valid):
                m.d.sync += [
                    request.space.eq(place.space),
                    request.address.eq(place.slot << _SLOT_SHIFT),
                    request.length.eq(ENTRY_BYTES),
                    request.tag.eq(1),
                ]

        gives = Signal()
        left = Signal(_AHEAD)
        room = Signal(_AHEAD)  # what is behind the last of them, and all before
        m.d.comb += [
            gives.eq(takes_entry | (takes_data & ~wanted.is_flush)),
            left.eq(Mux(ends_turn, turns >> 1, turns)),
            room.eq(Mux(ends_turn, turns, Cat(C(1, 1), turns))),
        ]
        m.d.sync += [
            turns.eq(left | Mux(gives, room, 0)),
            for_entry.eq(
                (Mux(ends_turn, for_entry >> 1, for_entry) & left)
                | Mux(self.entries.valid, ~left, 0)
            ),
        ]
