"""Completion queue entries on their way to memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .completion_queues import COUNT_BITS, ENTRY_BYTES, QueueResultLayout
from .config import RoceConfig
from .layouts import CompletionLayout
from .page_claim import CLAIM_BITS, PAGE_SHIFT, ClaimLayout

__all__ = [
    "CompletionEntryLayout",
    "EntryBeatLayout",
    "EntryLayout",
    "EntryPlaceLayout",
    "EntryWriter",
]

#: Fields that a completion and its entry have in common.
_COMMON = (
    "handle",
    "byte_length",
    "value",
    "queue_pair",
    "status",
    "source_queue_pair",
    "is_write",
    "has_immediate",
    "has_invalidated",
    "solicited",
    "is_send",
)
_SLOT: Any = QueueResultLayout()["slot"].shape


class CompletionEntryLayout(data.StructLayout):
    """What a completion queue entry has in its 32 bytes, the last 8 of which are 0.

    Fields
    ------
    handle, byte_length, value : 32 bits
    queue_pair, status : 24, 8 bits
    source_queue_pair : 24 bits
    is_write, has_immediate, has_invalidated, solicited, is_send, owner : 1 bit each
        Flags: bits 0 to 4, and 7.
    count : 32 bits
        Entries before this one, modulo 2**25.
    """

    def __init__(self):
        super().__init__(
            {
                "handle": 32,
                "byte_length": 32,
                "value": 32,
                "queue_pair": 24,
                "status": 8,
                "source_queue_pair": 24,
                "is_write": 1,
                "has_immediate": 1,
                "has_invalidated": 1,
                "solicited": 1,
                "is_send": 1,
                "reserved": 2,
                "owner": 1,
                "count": 32,
            }
        )


class EntryPlaceLayout(data.StructLayout):
    """Where an entry goes: ``space``, and ``slot``, its address without its low 5 bits."""

    def __init__(self):
        super().__init__({"space": 2, "slot": _SLOT})


class EntryBeatLayout(data.StructLayout):
    """Beat of an entry: ``data``, all of whose bytes are kept, and whether it is the ``last``."""

    def __init__(self, config: RoceConfig):
        super().__init__({"data": 8 * min(ENTRY_BYTES, config.data_bytes), "last": 1})


class EntryLayout(data.StructLayout):
    """An entry to be written.

    Fields
    ------
    place : EntryPlaceLayout()
    waits : 1 bit
        For a flush of its own.
    owner, count : 1, 25 bits
        As in :class:`CompletionEntryLayout`.
    completion : CompletionLayout(config)
        ``valid`` and ``queue`` mean nothing.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "place": EntryPlaceLayout(),
                "waits": 1,
                "owner": 1,
                "count": COUNT_BITS,
                "completion": CompletionLayout(config),
            }
        )


class _WaitingLayout(data.StructLayout):
    """What waits of an entry besides its place: no bit that does not differ."""

    def __init__(self, config: RoceConfig):
        completion: Any = CompletionLayout(config)
        super().__init__(
            {
                "owner": 1,
                "count": COUNT_BITS,
                **{name: completion[name].shape for name in _COMMON},
            }
        )


class EntryWriter(wiring.Component):
    """Write entries, in order, each when its flushes have been answered.

    An entry that ``waits`` is begun when ``flushed`` was there as often as for all of those before
    and once more; all entries behind it wait too, but nobody else. One that goes to the claimed
    page waits for the claim's end, of which this notices begin and end a cycle late.

    Places and contents wait in queues of their own, since a request goes ahead of its beats.

    Latency is 4 cycles from an entry to its request, 5 with beats of more than 8 bytes; 2 from
    ``flushed``. Throughput is an entry every 2 cycles, and a beat per cycle. There is
    room for 16 entries, or for 65 with beats of more than 8 bytes.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    entries : In(stream.Signature(EntryLayout(config)))
        Entries. ``entries.ready`` is a function of registers.
    flushed : In(1)
        Strobe: the last flush of an entry has its response; perhaps before the entry comes.
    claim : In(ClaimLayout())
        Claimed page.
    requests : Out(stream.Signature(EntryPlaceLayout()))
        Where an entry goes. Registered; ``valid`` falls if a claim comes.
    beats : Out(stream.Signature(EntryBeatLayout(config)))
        Entries in pieces, from registers through a multiplexer. Those of an entry may be
        taken only when its request was.
    """

    entries: stream.Interface
    flushed: Signal
    claim: Any
    requests: stream.Interface
    beats: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.beat_count = max(1, ENTRY_BYTES // config.data_bytes)
        super().__init__(
            {
                "entries": In(stream.Signature(EntryLayout(config))),
                "flushed": In(1),
                "claim": In(ClaimLayout()),
                "requests": Out(stream.Signature(EntryPlaceLayout())),
                "beats": Out(stream.Signature(EntryBeatLayout(config))),
            }
        )

    def _queue(self, shape) -> Queue:
        if self.config.is_narrow:
            return Queue(shape=shape, depth=16, shallow=True)
        return Queue(shape=shape, depth=64, block=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.places = places = self._queue(
            data.StructLayout({"place": EntryPlaceLayout(), "waits": 1})
        )
        m.submodules.contents = contents = self._queue(_WaitingLayout(self.config))
        entry: Any = self.entries.p
        next_entry: Any = places.o.p
        has_room = Signal()
        m.d.comb += [
            has_room.eq(places.i.ready & contents.i.ready),
            self.entries.ready.eq(has_room),
            places.i.valid.eq(self.entries.valid & has_room),
            places.i.p.place.eq(entry.place),
            places.i.p.waits.eq(entry.waits),
            contents.i.valid.eq(self.entries.valid & has_room),
            contents.i.p.owner.eq(entry.owner),
            contents.i.p.count.eq(entry.count),
            *(contents.i.p[name].eq(entry.completion[name]) for name in _COMMON),
        ]

        # Flushes that were answered and whose entries have not begun: one may be ahead of its own.
        answered = Signal(range(places.capacity + 2))
        begins = Signal()
        is_held = Signal()
        slot_page = next_entry.place.slot[PAGE_SHIFT - (ENTRY_BYTES.bit_length() - 1) :]
        m.d.comb += [
            begins.eq(self.requests.valid & self.requests.ready),
            places.o.ready.eq(begins),
            self.requests.payload.eq(next_entry.place),
            is_held.eq(
                self.claim.valid
                & (next_entry.place.space == self.claim.space)
                & (slot_page[:CLAIM_BITS] == self.claim.page[:CLAIM_BITS])
            ),
        ]
        m.d.sync += [
            answered.eq(answered + self.flushed - (begins & next_entry.waits)),
            self.requests.valid.eq(
                places.o.valid & (~next_entry.waits | answered.any()) & ~is_held & ~begins
            ),
        ]
        self._give_beats(m, contents)
        return m

    def _give_beats(self, m: Module, contents: Queue) -> None:
        """Give the next entry in pieces."""
        waiting: Any = contents.o.p
        entry: Any = Signal(CompletionEntryLayout())
        bits = len(self.beats.p.data)
        number = Signal(range(max(2, self.beat_count)))
        m.d.comb += [
            *(entry[name].eq(waiting[name]) for name in ("owner", "count", *_COMMON)),
            self.beats.valid.eq(contents.o.valid),
            self.beats.p.last.eq(number == self.beat_count - 1),
            contents.o.ready.eq(self.beats.ready & self.beats.p.last),
        ]
        with m.Switch(number):
            for piece in range(self.beat_count):
                with m.Case(piece):
                    m.d.comb += self.beats.p.data.eq(entry.as_value()[piece * bits :])
        if self.beat_count > 1:
            m.d.sync += number.eq(number + (self.beats.valid & self.beats.ready))
