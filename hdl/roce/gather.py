"""Data of packets, gathered from local memory."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryReadSignature
from ..stream import PacketSignature, Queue
from .config import RoceConfig
from .departure import Departure
from .gather_layouts import GatherRecordLayout
from .key_check import KeyRowLayout
from .layouts import PAYLOAD_BITS
from .piece_reads import PieceReads
from .piece_walk import PieceWalk
from .send_layouts import (
    FrameLayout,
    GatheredLayout,
    ReadPlaceLayout,
    SendPacketKind,
    SendPacketLayout,
    SentLayout,
)
from .translate_signature import TranslateSignature
from .work_layouts import PieceLayout, SendContextLayout

__all__ = ["Gather"]

#: Packets that are here: as many as spans that are read, and those that are looked for.
_PACKETS = 96
_NARROW_PACKETS = 16
#: Beats of data that are here, or asked for, before it says that it is full: more than a memory
#: that answers in 1 us holds of what the card's port takes. All of them are sent before anything
#: that is sent again.
_BEATS_PER_BYTE = 5
_LEAST_BEATS = 128
#: Bytes are counted in units; what is less does not count.
_UNIT_SHIFT = 6


class Gather(wiring.Component):
    """Gather what packets are made of: pieces of local memory by key, or inline data.

    All leaves in the order in which it came: a frame, with its data beside it, or an event, or
    both.

    A packet of which a piece may not be used (its key, protection domain, bounds, rights; what the
    Translator refuses) fails with LOCAL_PROTECTION; one whose list ends before it, or goes on
    behind its message, with LOCAL_LENGTH; BAD with its status: nothing of it is read, and no frame
    leaves. If memory fails, the frame has left; its data end with ``error``, and LOCAL_PROTECTION
    follows. Packets of that queue pair that follow in the same epoch leave nothing. All are
    counted.

    INVALIDATE and BIND are done (:class:`WindowBind`) before anything that comes behind them
    leaves; the event is LOCAL, or FAILED with LOCAL_OPERATION or BIND.

    A piece is looked at as a whole, whatever is needed of it; one of length 0 is not. The key and
    the pages count as they are when the packet comes by.

    Throughput is a packet of one piece every 2 cycles, a piece every 2 cycles, a beat of data every
    cycle, if memory gives as much: 64 spans are under way, 16 with narrow beats; see
    :class:`PieceWalk`, :class:`PieceReads`, :class:`Departure` and, for spans that do not end with
    a beat, :class:`SpanPack`. With narrow beats there is a part every 8 cycles.

    Latency from a packet to its first read is 18 cycles and that of the Translator, 22 with narrow
    beats; from the first beat of data to the frame 2, or 1 with narrow beats; to the data 3 at 16
    bytes a beat, else 4.

    No wait depends on another block than memory, the Translator and who takes frames, data and
    events.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 10.6.

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    i : In(stream.Signature(SendPacketLayout(config)))
        Packets. ``i.ready`` depends combinationally on ``i.payload``.
    context : In(SendContextLayout(config))
        Where a queue pair's work queue is: held until the cycle behind that in which its SET_UP is
        taken.
    unit_en, unit_address : Out(1), Out({unit: 2, slot: config.bits("send_slots"), queue_pair})
        Unit of 16 bytes of a slot on chip; combinational functions of registers.
    unit : In(PieceLayout())
        That unit, in the next cycle.
    keys : In(stream.Signature(KeyRowLayout(config)))
        Rows of the key table, taken at any time.
    key_rows : Out(stream.Signature(KeyRowLayout(config)))
        Rows of windows that are bound, to be written to all tables of keys, by ``keys`` to this
        one.
    translate : Out(TranslateSignature(config))
        Translations; the request is registered.
    reads : Out(MemoryReadSignature(data_bytes))
        Reads; the request is registered. Responses are not looked at.
    frames : Out(stream.Signature(FrameLayout(config)))
        Frames, registered, each when its first beat of data is here. Who takes one may wait for its
        data first, and who takes data for its frame.
    data : Out(PacketSignature(data_bytes))
        For each frame with payload a packet of as many bytes, registered. With ``error`` it is not
        to be sent.
    is_full : Out(1)
        There is so much that more would only wait. Registered; what comes is taken nevertheless.
    gathered : Out(GatheredLayout(config))
        Strobe, registered: nothing of this packet on chip is needed any more.
    places : Out(ReadPlaceLayout(config))
        Strobe, registered, of a READ or ATOMIC that ``is_new``: in the cycle in which its frame is
        first offered, or before.
    sent : Out(stream.Signature(SentLayout(config)))
        Events, registered.
    """

    i: stream.Interface
    context: Any
    unit_en: Signal
    unit_address: Any
    unit: Any
    keys: stream.Interface
    key_rows: stream.Interface
    translate: Any
    reads: Any
    frames: stream.Interface
    data: stream.Interface
    is_full: Signal
    gathered: Any
    places: Any
    sent: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self._walk = PieceWalk(config=config)
        self._reads = PieceReads(config=config)
        self._departure = Departure(config=config)
        narrow = config.is_narrow
        self._records = Queue(
            shape=GatherRecordLayout(config),
            depth=_NARROW_PACKETS if narrow else _PACKETS,
            block=not narrow,
            shallow=narrow,
        )
        super().__init__(
            {
                "i": In(stream.Signature(SendPacketLayout(config))),
                "context": In(SendContextLayout(config)),
                "unit_en": Out(1),
                "unit_address": Out(self._walk.unit_address.shape()),
                "unit": In(PieceLayout()),
                "keys": In(stream.Signature(KeyRowLayout(config))),
                "key_rows": Out(stream.Signature(KeyRowLayout(config))),
                "translate": Out(TranslateSignature(config)),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "frames": Out(stream.Signature(FrameLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                "is_full": Out(1),
                "gathered": Out(GatheredLayout(config)),
                "places": Out(ReadPlaceLayout(config)),
                "sent": Out(stream.Signature(SentLayout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.piece_reads = reads = self._reads
        m.submodules.departure = departure = self._departure
        m.submodules.records = records = self._records

        record: Any = records.i.p
        m.d.comb += [
            walk.i.payload.eq(self.i.payload),
            walk.i.valid.eq(self.i.valid & records.i.ready),
            records.i.valid.eq(self.i.valid & walk.i.ready),
            self.i.ready.eq(walk.i.ready & records.i.ready),
            *(
                record[str(name)].eq(self.i.p[str(name)])
                for name, _ in GatherRecordLayout(self.config)
            ),
            walk.context.eq(self.context),
            walk.unit.eq(self.unit),
            self.unit_en.eq(walk.unit_en),
            self.unit_address.eq(walk.unit_address),
            self.gathered.eq(walk.gathered),
            self.places.eq(departure.read_places),
            self.reads.response.ready.eq(1),
        ]
        self._count(m, records)
        wiring.connect(m, walk.parts, reads.parts)
        wiring.connect(m, walk.inline, reads.inline)
        wiring.connect(m, walk.operands, departure.operands)
        wiring.connect(m, wiring.flipped(self.keys), reads.keys)
        wiring.connect(m, reads.key_rows, wiring.flipped(self.key_rows))
        wiring.connect(m, reads.translate, wiring.flipped(self.translate))
        wiring.connect(m, reads.requests, wiring.flipped(self.reads.request))
        wiring.connect(m, reads.spans, departure.spans)
        wiring.connect(m, reads.places, departure.places)
        wiring.connect(m, records.o, departure.records)
        wiring.connect(m, wiring.flipped(self.reads.data), departure.beats)
        wiring.connect(m, departure.frames, wiring.flipped(self.frames))
        wiring.connect(m, departure.data, wiring.flipped(self.data))
        wiring.connect(m, departure.sent, wiring.flipped(self.sent))
        return m

    def _count(self, m: Module, records: Queue) -> None:
        """Say whether there is enough."""
        data_bytes = self.config.data_bytes
        beats = max(_LEAST_BEATS, _BEATS_PER_BYTE * data_bytes)
        most = beats * data_bytes >> _UNIT_SHIFT
        whole_packet = 1 << PAYLOAD_BITS - 1 >> _UNIT_SHIFT
        held = Signal(range(most + records.capacity * whole_packet))
        moved = [Signal(range(whole_packet + 1), name=name) for name in ("came", "went")]
        for units, side in zip(moved, (records.i, records.o), strict=True):
            counts = side.valid & side.ready & (side.p.kind == SendPacketKind.DATA)
            m.d.sync += units.eq(Mux(counts, side.p.length[_UNIT_SHIFT:PAYLOAD_BITS], 0))
        came, went = moved
        m.d.sync += [held.eq(held + came - went), self.is_full.eq(held >= most)]
