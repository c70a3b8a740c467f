"""Slots of work queues, fetched from memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryReadSignature, MemoryRequestLayout
from ..memory import SimpleDualPortRam
from ..stream import Downsizer, Queue, Upsizer
from .config import RoceConfig
from .layouts import StrobeLayout
from .work_layouts import (
    EPOCH_BITS,
    SLOT_BITS,
    SLOT_BYTES,
    FetchedLayout,
    FetchLayout,
    PieceLayout,
    SendContextLayout,
    WorkHeadLayout,
)

__all__ = ["WorkFetch"]

#: An entry's head takes half a slot, or two pieces do.
_HEAD_BYTES = SLOT_BYTES // 2
#: Fetches under way. 1 us of 64-byte WRITEs, of which 164 million a second are sent at 128 bytes a
#: beat and one every 2 cycles of 3 ns, are 164 slots: 41 fetches of 4. At 8 bytes a beat, 10 cycles
#: of 8 ns a packet, 13 slots.
_FETCHES, _NARROW_FETCHES = 63, 15
#: Of an address, in slots, above what a ring's index reaches.
_MIDDLE_BITS = 21


class WorkFetch(wiring.Component):
    """Fetch slots of work queues, and hold them: ``send_slots`` of each queue pair.

    Slots are asked for by index, and stand on chip at that index modulo ``send_slots``. Whoever
    asks leaves room: what stands there is overwritten. What is in memory is not looked at.

    ``fetched`` tells of each fetch when its last byte is there; then a read of a slot that begins
    in that cycle or later finds it. Fetches end in the order in which they were asked for.

    Latency is 3 cycles from a request to its read, and from the last beat to ``fetched`` 3, or 2
    with beats of 32 or 64 bytes. Throughput is 32 bytes a cycle, with beats of 64 bytes or more a
    slot; and a cycle more for each fetch.

    Specification: docs/roce-requester.md.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    requests : In(stream.Signature(FetchLayout(config)))
        What to fetch.
    set_up, context : In(StrobeLayout(config)), In(SendContextLayout(config))
        Strobe: the queue pair's ring is that of ``context``. None of its fetches may be under way
        that anybody waits for.
    reads : Out(MemoryReadSignature(data_bytes))
        The request is registered.
    fetched : Out(FetchedLayout(config))
        Strobe, registered.
    kicks : Out(stream.Signature(config.bits("queue_pairs")))
        The queue pair of each fetch that has ended, registered. Fetches wait while it is not taken.
    head_en, head_address : In(1), In(config.bits("queue_pairs") + log2(send_slots))
        Slot to read: queue pair above, slot below.
    head : Out(WorkHeadLayout())
        First half of that slot, 2 cycles later; it stays until 2 cycles after the next read.
    unit_en, unit_address : In(1), In(config.bits("queue_pairs") + log2(send_slots) + 2)
        16 bytes of a slot to read, numbered by the low 2 bits.
    unit : Out(PieceLayout())
        They, 1 cycle later; kept until the next are read.
    """

    requests: stream.Interface
    set_up: Any
    context: Any
    reads: Any
    fetched: Any
    kicks: stream.Interface
    head_en: Signal
    head_address: Signal
    head: Any
    unit_en: Signal
    unit_address: Signal
    unit: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.slot_bits = config.bits("queue_pairs") + config.bits("send_slots")
        super().__init__(
            {
                "requests": In(stream.Signature(FetchLayout(config))),
                "set_up": In(StrobeLayout(config)),
                "context": In(SendContextLayout(config)),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "fetched": Out(FetchedLayout(config)),
                "kicks": Out(stream.Signature(config.bits("queue_pairs"))),
                "head_en": In(1),
                "head_address": In(self.slot_bits),
                "head": Out(WorkHeadLayout()),
                "unit_en": In(1),
                "unit_address": In(self.slot_bits + 2),
                "unit": Out(PieceLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pending = pending = Queue(
            shape=FetchLayout(self.config),
            depth=_NARROW_FETCHES if self.config.is_narrow else _FETCHES,
            shallow=self.config.is_narrow,
        )
        self._ask(m, pending)
        self._store(m, pending)
        return m

    def _ask(self, m: Module, pending: Queue) -> None:
        """0: the ring's row; 1: it is there; 2: where in it; then the read's request."""
        ring = data.StructLayout({"space": 2, "slot": 58, "shift": 4})
        m.submodules.rings = rings = SimpleDualPortRam(
            shape=ring, depth=self.config.queue_pairs, lane_count=1, latency=1, bypass=True
        )
        context = self.context
        written: Any = rings.write_data
        request: Any = self.reads.request
        asked: Any = Signal(FetchLayout(self.config), reset_less=True)
        valid = Signal(2)
        moves = Signal()
        m.d.comb += [
            rings.write_lanes.eq(self.set_up.valid),
            rings.write_address.eq(self.set_up.queue_pair),
            written.space.eq(context.ring_space),
            written.slot.eq(context.ring_address[6:]),
            written.shift.eq(context.ring_shift),
            # One at a time: the ring's row is where it was read.
            moves.eq(~valid.any() & (~request.valid | request.ready)),
            pending.i.valid.eq(self.requests.valid & moves),
            pending.i.payload.eq(self.requests.payload),
            self.requests.ready.eq(moves & pending.i.ready),
            rings.read_en.eq(moves),
            rings.read_address.eq(self.requests.p.queue_pair),
        ]
        m.d.sync += valid.eq(Cat(self.requests.valid & self.requests.ready, valid[0]))
        with m.If(moves):
            m.d.sync += asked.eq(self.requests.payload)

        # The sum is made in parts: the low one's carry goes on a cycle later, and past the middle
        # one if that is all ones.
        row: Any = rings.read_data
        low = Signal(SLOT_BITS + 1, reset_less=True)
        middle = Signal(_MIDDLE_BITS, reset_less=True)
        high = Signal(58 - SLOT_BITS - _MIDDLE_BITS, reset_less=True)
        passes = Signal(reset_less=True)
        space = Signal(2, reset_less=True)
        mask = Cat(row.shift > n for n in range(SLOT_BITS))
        m.d.sync += [
            low.eq(row.slot[:SLOT_BITS] + (asked.slot & mask)),
            Cat(middle, high).eq(row.slot[SLOT_BITS:]),
            passes.eq(row.slot[SLOT_BITS : SLOT_BITS + _MIDDLE_BITS].all()),
            space.eq(row.space),
        ]
        whole: Any = Signal(MemoryRequestLayout(), reset_less=True)
        m.d.comb += [request.payload.eq(whole), self.reads.response.ready.eq(1)]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(valid[1]):
            m.d.sync += [
                request.valid.eq(1),
                Value.cast(whole).eq(0),
                whole.space.eq(space),
                whole.address.eq(
                    Cat(
                        C(0, 6),
                        low[:SLOT_BITS],
                        (middle + low[SLOT_BITS])[:_MIDDLE_BITS],
                        high + (low[SLOT_BITS] & passes),
                    )
                ),
                whole.length.eq(asked.count << 6),
            ]

    def _store(self, m: Module, pending: Queue) -> None:
        """Store what comes, half a slot at a time."""
        config = self.config
        size = config.data_bytes
        parts: Any = self.reads.data
        part_bytes = SLOT_BYTES if size >= SLOT_BYTES else _HEAD_BYTES
        if size != part_bytes:
            resize = Upsizer if size < part_bytes else Downsizer
            m.submodules.parts = resizer = resize(i_bytes=size, o_bytes=part_bytes)
            wiring.connect(m, wiring.flipped(self.reads.data), resizer.i)
            parts = resizer.o
        beat: Any = parts.p
        now: Any = pending.o.p
        slot_bits = config.bits("send_slots")

        def ram(name: str, size: int, depth: int, latency: int) -> Any:
            memory = SimpleDualPortRam(
                shape=8 * size,
                depth=depth,
                lane_count=1,
                latency=latency,
                bypass=False,
                block=True,
            )
            m.submodules[name] = memory
            return memory

        has_halves = part_bytes < SLOT_BYTES
        heads = ram("heads", _HEAD_BYTES, 1 << self.slot_bits, 2)
        units = ram("units", part_bytes, (1 + has_halves) << self.slot_bits, 1)
        half = Signal()  # the second one of a slot comes
        index = Signal(slot_bits)  # slots of this fetch that have come
        works = Signal()
        is_known = Signal()
        place = Cat((now.slot + index)[:slot_bits], now.queue_pair)
        m.d.comb += [
            works.eq(parts.valid & is_known & (~self.kicks.valid | self.kicks.ready)),
            parts.ready.eq(is_known & (~self.kicks.valid | self.kicks.ready)),
            pending.o.ready.eq(works & beat.last),
            heads.write_lanes.eq(works & ~half),
            heads.write_address.eq(place),
            heads.write_data.eq(beat.data),
            heads.read_en.eq(self.head_en),
            heads.read_address.eq(self.head_address),
            self.head.eq(heads.read_data),
            units.write_lanes.eq(works),
            units.write_address.eq(Cat(half, place) if has_halves else place),
            units.write_data.eq(beat.data),
            units.read_en.eq(self.unit_en),
            units.read_address.eq(self.unit_address[1 if has_halves else 2 :]),
        ]
        which = Signal(1 if has_halves else 2)
        with m.If(self.unit_en):
            m.d.sync += which.eq(self.unit_address)
        m.d.comb += self.unit.eq(units.read_data.word_select(which, 4 * _HEAD_BYTES))

        # Behind a fetch that failed, all of its epoch have.
        known_layout = data.StructLayout({"failed": 1, "epoch": EPOCH_BITS, "slot": SLOT_BITS})
        m.submodules.failures = failures = SimpleDualPortRam(
            shape=known_layout, depth=config.queue_pairs, lane_count=1, latency=1, bypass=True
        )
        known: Any = failures.read_data
        known_now: Any = failures.write_data
        has_failed = Signal()
        was_there = Signal()
        m.d.sync += was_there.eq(pending.o.valid & ~pending.o.ready)
        ends_at = Signal(SLOT_BITS)
        m.d.comb += [
            failures.read_en.eq(1),
            failures.read_address.eq(now.queue_pair),
            # A cycle later what was known of the queue pair is here.
            is_known.eq(pending.o.valid & was_there),
            has_failed.eq(known.failed & (known.epoch == now.epoch)),
            ends_at.eq(Mux(has_failed, known.slot, now.slot + Mux(beat.error, 0, now.count))),
            failures.write_lanes.eq(works & beat.last),
            failures.write_address.eq(now.queue_pair),
            known_now.failed.eq(has_failed | beat.error),
            known_now.epoch.eq(now.epoch),
            known_now.slot.eq(ends_at),
        ]

        with m.If(self.kicks.ready):
            m.d.sync += self.kicks.valid.eq(0)
        m.d.sync += self.fetched.valid.eq(works & beat.last)
        with m.If(works):
            m.d.sync += [
                half.eq(~half & ~beat.last & has_halves),
                index.eq(Mux(beat.last, 0, index + (half if has_halves else 1))),
                self.fetched.queue_pair.eq(now.queue_pair),
                self.fetched.epoch.eq(now.epoch),
                self.fetched.slot.eq(ends_at),
                self.fetched.failed.eq(known_now.failed),
                self.kicks.payload.eq(now.queue_pair),
            ]
            with m.If(beat.last):
                m.d.sync += self.kicks.valid.eq(1)
