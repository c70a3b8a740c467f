"""Lists of pieces of local memory, and what of them goes into a packet."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import Queue
from .config import RoceConfig
from .gather_layouts import (
    FoundLayout,
    PartLayout,
    WalkEndLayout,
    WalkJobLayout,
)
from .inline_place import InlinePlace, RingLayout
from .one_row import OneRow
from .packet_count import PacketCount
from .piece_measure import MeasuredUnitLayout, PieceMeasure
from .send_layouts import GatheredLayout, SendPacketKind, SendPacketLayout
from .walk_start import HEAD_UNITS, WalkStart, WalkStartLayout
from .work_layouts import PieceLayout, SendContextLayout

__all__ = ["PieceWalk"]

#: Inline data and operands that wait for what came before them.
_INLINE, _OPERANDS = 16, 8


class PieceWalk(wiring.Component):
    """Share packets out over the pieces of their work requests' lists.

    A packet takes its bytes from where the packet of its queue pair before it ended, if that was of
    the same entry and not behind it, or from the list's beginning. Pieces without bytes, and those
    that lie before, are passed over. Each packet has a part that is ``last``, if need be without
    bytes: a packet without data, one whose list ``misfits``, or whose data are inline.
    A READ, ATOMIC or BIND has one piece, whatever ``pieces`` says; of an INVALIDATE, and first of a
    BIND, there is a part for the window.

    A list misfits if it ends before the packet does. Behind the last packet of a message, or a READ
    or ATOMIC, it must have ended: the walk goes on to its end, or to the first byte too many.

    Whatever lengths say, a walk ends with its list; lengths are counted modulo 2**32.

    Everything moves in steps of 2 cycles, which wait for who takes the parts: the packet meets what
    is known of its queue pair; a piece is fetched; it is measured (:class:`PieceMeasure`). The next
    piece of a list is fetched before the one before it has been measured.

    Latency is 7 cycles from a packet to its first part. Throughput is a piece every 2 cycles, and a
    packet every 2 cycles whose data are of one piece; 4 if it ends before its list does. The next
    packet but the first of a message with several pieces waits until the one before has been
    walked: 8 cycles from one to the next. With narrow beats a step has 3 cycles, and all of these
    are half as many again; that latency is 10. After reset the counts are cleared, a row each
    cycle; packets wait as long.

    Specification: docs/roce-requester.md (entry of a work queue).

    Parameters
    ----------
    config : RoceConfig
        ``queue_pairs`` and ``send_slots`` count.

    Members
    -------
    i : In(stream.Signature(SendPacketLayout(config)))
        Packets. ``i.ready`` depends combinationally on ``i.payload``.
    context : In(SendContextLayout(config))
        Held until the cycle behind that in which a SET_UP is taken.
    unit_en, unit_address : Out(1), Out({unit: 2, slot: config.bits("send_slots"), queue_pair})
        Unit of a slot on chip; combinational functions of registers.
    unit : In(PieceLayout())
        That unit, in the next cycle.
    parts : Out(stream.Signature(PartLayout()))
        Registered.
    inline : Out(stream.Signature(FoundLayout()))
        Spans of each part that is ``direct``, in order. Registered.
    operands : Out(stream.Signature(128))
        Operand and compare of each ATOMIC, in order: as the entry has them. Registered.
    gathered : Out(GatheredLayout(config))
        Strobe, registered, with each packet's last part.
    """

    i: stream.Interface
    context: Any
    unit_en: Signal
    unit_address: Any
    unit: Any
    parts: stream.Interface
    inline: stream.Interface
    operands: stream.Interface
    gathered: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        slot_bits = config.bits("send_slots")
        pair_bits = config.bits("queue_pairs")
        address = data.StructLayout({"unit": 2, "slot": slot_bits, "queue_pair": pair_bits})
        super().__init__(
            {
                "i": In(stream.Signature(SendPacketLayout(config))),
                "context": In(SendContextLayout(config)),
                "unit_en": Out(1),
                "unit_address": Out(address),
                "unit": In(PieceLayout()),
                "parts": Out(stream.Signature(PartLayout())),
                "inline": Out(stream.Signature(FoundLayout())),
                "operands": Out(stream.Signature(unsigned(128))),
                "gathered": Out(GatheredLayout(config)),
            }
        )
        # A unit that is fetched, then measured, for its packet.
        self._fetch_layout = WalkStartLayout(config)
        self._measure_layout = MeasuredUnitLayout(config)
        self._parts = OneRow(shape=PartLayout())
        if config.is_narrow:
            self._inline = OneRow(shape=FoundLayout())
            self._operands = OneRow(shape=unsigned(128))
        else:
            self._inline = Queue(shape=FoundLayout(), depth=_INLINE, shallow=True)
            self._operands = Queue(shape=unsigned(128), depth=_OPERANDS, shallow=True)

    def _table(self, shape: Any, latency: int, block: bool) -> SimpleDualPortRam:
        return SimpleDualPortRam(
            shape=shape,
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=latency,
            bypass=False,
            block=block and not self.config.is_narrow,
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.parts = parts = self._parts
        m.submodules.inlines = inline = self._inline
        m.submodules.operands = operands = self._operands
        m.submodules.place = place = InlinePlace()
        for own, port in (
            (parts, self.parts),
            (inline, self.inline),
            (operands, self.operands),
        ):
            wiring.connect(m, own.o, wiring.flipped(port))

        # A step is a cycle in which `phase` is high, and all stages move.
        phase = Signal()
        step = Signal()
        if config.is_narrow:
            is_second = Signal()
            m.d.sync += [is_second.eq(~step), phase.eq(is_second & ~step)]
        else:
            m.d.sync += phase.eq(~step)

        job: Any = Signal(WalkJobLayout(config), reset_less=True)
        job_valid = Signal()
        job_moves = Signal()
        job_is_free = Signal()
        fetch: Any = Signal(self._fetch_layout, reset_less=True)
        fetch_valid = Signal()
        measure: Any = Signal(self._measure_layout, reset_less=True)
        measure_valid = Signal()
        packet: Any = self.i.p

        # Only of what has to go on from where the packet before ended.
        waits = Signal()
        resumes = Signal()
        is_own = [
            valid & (stage.queue_pair == packet.queue_pair)
            for valid, stage in (
                (job_valid, job),
                (fetch_valid, fetch),
                (measure_valid, measure),
            )
        ]
        m.d.comb += [
            resumes.eq((packet.pieces > 1) & packet.offset.any()),
            waits.eq(resumes & Cat(*is_own).any()),
            job_is_free.eq(~job_valid | job_moves),
            self.i.ready.eq(step & job_is_free & ~waits),
        ]
        with m.If(step & job_is_free):
            m.d.sync += [
                job_valid.eq(self.i.valid & ~waits),
                *(job[str(name)].eq(packet[str(name)]) for name, _ in WalkJobLayout(config)),
            ]

        looks = step & job_is_free
        m.submodules.counts = counts = PacketCount(config=config)
        m.d.comb += [
            counts.looks.eq(looks),
            counts.taken.eq(self.i.valid & self.i.ready),
            counts.queue_pair.eq(packet.queue_pair),
        ]
        m.submodules.start = starts = WalkStart(config=config)
        self.ended = ended = self._table(WalkEndLayout(), latency=2, block=True)
        m.submodules.ended = ended
        m.d.comb += [
            ended.read_en.eq(looks),
            ended.read_address.eq(packet.queue_pair),
            starts.job.eq(job),
            starts.saved.eq(ended.read_data),
        ]
        start: Any = Signal(self._fetch_layout)
        m.d.comb += start.eq(starts.o)
        start_count = Signal(4, reset_less=True)
        fresh = Signal()
        m.d.sync += fresh.eq(self.i.valid & self.i.ready)
        m.d.comb += start.count.eq(start_count)
        with m.If(fresh):
            m.d.sync += start_count.eq(counts.count)

        m.submodules.rings = rings = self._table(RingLayout(), latency=2, block=True)
        ring: Any = rings.write_data
        m.d.comb += [
            rings.read_en.eq(looks),
            rings.read_address.eq(packet.queue_pair),
            rings.write_lanes.eq(fresh & (job.kind == SendPacketKind.SET_UP)),
            rings.write_address.eq(job.queue_pair),
            ring.space.eq(self.context.ring_space),
            ring.address.eq(self.context.ring_address),
            ring.shift.eq(self.context.ring_shift),
            place.step.eq(step),
            place.load.eq(job_moves),
            place.ring.eq(rings.read_data),
            place.slot.eq(job.slot),
            place.offset.eq(job.offset),
            place.length.eq(job.length),
            inline.i.payload.eq(place.found),
        ]

        m.submodules.measure = sizes = PieceMeasure(config=config)
        is_stale = Signal()
        is_beyond = Signal()
        is_last_unit = Signal()
        fetch_is_free = Signal()
        address: Any = self.unit_address
        m.d.comb += [
            is_beyond.eq(fetch.walks & (fetch.unit > fetch.end) & ~fetch.is_head),
            is_last_unit.eq(
                ~fetch.walks
                | Mux(
                    fetch.is_head,
                    fetch.is_local & ~fetch.is_bind,
                    fetch.unit >= fetch.end,
                )
            ),
            is_stale.eq(measure_valid & sizes.ends & ~fetch.first),
            fetch_is_free.eq(~fetch_valid | is_last_unit | is_stale),
            job_moves.eq(job_valid & fetch_is_free),
            self.unit_en.eq(fetch_valid & fetch.walks & ~is_beyond),
            address.queue_pair.eq(fetch.queue_pair),
            address.slot.eq(fetch.slot + fetch.unit[2:]),
            address.unit.eq(fetch.unit[:2]),
        ]
        with m.If(step):
            m.d.sync += [
                measure_valid.eq(fetch_valid & ~is_stale),
                *(
                    measure[str(name)].eq(fetch[str(name)])
                    for name, _ in self._fetch_layout
                    if str(name) in dict(self._measure_layout)
                ),
                measure.beyond.eq(is_beyond),
                measure.ends_list.eq(is_last_unit),
            ]
            with m.If(fetch_is_free):
                m.d.sync += [fetch_valid.eq(job_valid), fetch.eq(start), fetch.first.eq(1)]
            with m.Else():
                m.d.sync += [
                    fetch.unit.eq(Mux(fetch.is_head, HEAD_UNITS, fetch.unit + 1)),
                    fetch.is_head.eq(0),
                    fetch.first.eq(0),
                ]

        m.d.comb += [
            sizes.step.eq(step),
            sizes.fetched.eq(fetch),
            sizes.unit.eq(self.unit),
            sizes.measured.eq(measure),
            parts.i.payload.eq(sizes.part),
            operands.i.payload.eq(sizes.piece),
            ended.write_address.eq(measure.queue_pair),
            ended.write_data.eq(sizes.end),
        ]
        takes_inline = measure_valid & measure.direct
        takes_operand = measure_valid & measure.is_head & measure.is_atomic
        others_ready = Signal()
        m.d.comb += [
            others_ready.eq(
                ~counts.is_clearing
                & (~takes_inline | inline.i.ready)
                & (~takes_operand | operands.i.ready)
            ),
            step.eq(phase & others_ready & parts.i.ready),
            parts.i.valid.eq(phase & others_ready & measure_valid & sizes.gives),
            inline.i.valid.eq(takes_inline & step),
            operands.i.valid.eq(takes_operand & step),
        ]
        self._report(m, step & measure_valid & sizes.ends, measure)
        return m

    def _report(self, m: Module, ends: Value, measure: Any) -> None:
        """Tell that a packet has been walked, and remember where it ended."""
        m.d.comb += self.ended.write_lanes.eq(ends)
        told: Any = Signal(GatheredLayout(self.config), reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(ends),
            told.queue_pair.eq(measure.queue_pair),
            told.epoch.eq(measure.epoch),
            told.slot.eq(measure.slot + Mux(measure.is_final, measure.slots, 0)),
            told.count.eq(measure.count),
        ]
        m.d.comb += [self.gathered.eq(told), self.gathered.valid.eq(valid)]
