"""Packets whose data are here leave, or fail."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import Skid
from ..memory import SimpleDualPortRam
from ..stream import PacketSignature, Queue, SkidBuffer
from .config import RoceConfig
from .gather_layouts import GatherRecordLayout, GatherSpanLayout
from .layouts import CompletionStatus, PlaceLayout
from .one_row import OneRow
from .opcode import Service
from .send_layouts import FrameLayout, ReadPlaceLayout, SendPacketKind, SentKind, SentLayout
from .span_pack import SpanBeatLayout, SpanPack
from .work_layouts import EPOCH_BITS

__all__ = ["Departure"]

#: Frames that wait while their data are on the way through the packer; events.
_FRAMES, _EVENTS = 4, 4
#: Words of a frame from which on an atomic operation has its operands.
_OPERAND_WORD = 3


class Departure(wiring.Component):
    """Give on packets in order, as their data come; say which have failed, or were the last.

    A packet that is not to be sent, or whose data come with an error, fails; those of its queue
    pair that follow in its epoch leave nothing. Who goes back has another one, and tries it again.

    Latency from the first beat of data to the frame is 2 cycles, or 1 with narrow beats; to the
    data that of :class:`SpanPack`, 2 more with narrow beats. Throughput is a beat per cycle,
    across packets of 2 beats or more; a packet every 2 cycles, or every 3 with narrow beats.

    Specification: docs/roce-requester.md (errors).

    Parameters
    ----------
    config : RoceConfig
        Sizes.

    Members
    -------
    records : In(stream.Signature(GatherRecordLayout(config)))
        Packets.
    spans : In(stream.Signature(GatherSpanLayout(config)))
        What they wait for.
    places, operands : In(stream.Signature(PlaceLayout(config))), In(stream.Signature(128))
        One for each READ and ATOMIC, for each ATOMIC.
    beats : In(PacketSignature(data_bytes))
        A packet for each span that is read. ``beats.ready`` depends combinationally on
        ``data.ready``, but not with narrow beats, and on ``beats.p.last``.
    frames : Out(stream.Signature(FrameLayout(config)))
        Registered.
    data : Out(PacketSignature(data_bytes))
        For each frame with payload a packet, registered.
    read_places : Out(ReadPlaceLayout(config))
        Strobe, registered; in the cycle in which the frame is first offered, or before.
    sent : Out(stream.Signature(SentLayout(config)))
        Events, registered.
    """

    records: stream.Interface
    spans: stream.Interface
    places: stream.Interface
    operands: stream.Interface
    beats: stream.Interface
    frames: stream.Interface
    data: stream.Interface
    read_places: Any
    sent: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "records": In(stream.Signature(GatherRecordLayout(config))),
                "spans": In(stream.Signature(GatherSpanLayout(config))),
                "places": In(stream.Signature(PlaceLayout(config))),
                "operands": In(stream.Signature(unsigned(128))),
                "beats": In(PacketSignature(config.data_bytes)),
                "frames": Out(stream.Signature(FrameLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                "read_places": Out(ReadPlaceLayout(config)),
                "sent": Out(stream.Signature(SentLayout(config))),
            }
        )
        # In this epoch a queue pair's packets leave nothing.
        self._dead_layout = data.StructLayout({"dead": 1, "epoch": EPOCH_BITS})
        frame, event = FrameLayout(config), SentLayout(config)
        if config.is_narrow:
            self._frames = OneRow(shape=frame)
            self._events = OneRow(shape=event)
        else:
            self._frames = Queue(shape=frame, depth=_FRAMES, shallow=True)
            self._events = Queue(shape=event, depth=_EVENTS, shallow=True)
        self._pack = SpanPack(data_bytes=config.data_bytes)

    def elaborate(self, platform):
        m = Module()
        m.submodules.frames = frames = self._frames
        m.submodules.events = events = self._events
        m.submodules.pack = pack = self._pack
        wiring.connect(m, frames.o, wiring.flipped(self.frames))
        wiring.connect(m, events.o, wiring.flipped(self.sent))
        if self.config.is_narrow:
            # What the packer does with a beat is not seen where it is known what becomes of it.
            m.submodules.ahead = ahead = Skid(shape=SpanBeatLayout(self.config.data_bytes))
            m.submodules.skid = skid = SkidBuffer(data_bytes=self.config.data_bytes)
            packs = ahead.i
            wiring.connect(m, ahead.o, pack.i)
            wiring.connect(m, pack.o, skid.i)
            wiring.connect(m, skid.o, wiring.flipped(self.data))
        else:
            packs = pack.i
            wiring.connect(m, pack.o, wiring.flipped(self.data))

        packet: Any = Signal(GatherRecordLayout(self.config), reset_less=True)
        valid = Signal()
        is_swallowed = Signal(reset_less=True)
        revives = Signal(reset_less=True)
        changes = Signal()  # the queue pair's row of those that are dead
        done = Signal()
        self._look_up(m, packet, valid, is_swallowed, revives, changes, done)

        span: Any = self.spans.p
        beat: Any = self.beats.p
        slot: Any = packs.p
        kind = packet.kind
        is_data = Signal()
        is_operation = Signal()
        is_atomic = Signal()
        is_set_up = Signal()
        is_local = Signal()
        m.d.comb += [
            is_data.eq(kind == SendPacketKind.DATA),
            is_atomic.eq(kind == SendPacketKind.ATOMIC),
            is_operation.eq(is_atomic | (kind == SendPacketKind.READ)),
            is_set_up.eq(kind == SendPacketKind.SET_UP),
            is_local.eq(~is_data & ~is_operation & ~is_set_up),
        ]

        # With data: the first beat takes the frame with it, the last one tells.
        streams = Signal()
        has_begun = Signal()
        earlier_error = Signal()
        error = Signal()
        is_end = Signal()
        tells = Signal()  # when its last beat moves
        may_move = Signal()
        moves = Signal()
        m.d.comb += [
            streams.eq(valid & self.spans.valid & span.reads),
            error.eq(beat.error | earlier_error),
            is_end.eq(span.last & beat.last),
            tells.eq(is_end & ~is_swallowed & (error | (packet.service != Service.RC))),
            may_move.eq(
                streams & (has_begun | is_swallowed | frames.i.ready) & (~is_end | events.i.ready)
            ),
            self.beats.ready.eq(may_move & (is_swallowed | packs.ready)),
            packs.valid.eq(may_move & ~is_swallowed & self.beats.valid),
            moves.eq(self.beats.valid & self.beats.ready),
            slot.data.eq(beat.data),
            slot.keep.eq(beat.keep),
            slot.offset.eq(span.offset),
            slot.last.eq(is_end),
            slot.error.eq(error),
        ]
        with m.If(moves):
            m.d.sync += has_begun.eq(~is_end)
        with m.If(moves & beat.last):
            m.d.sync += earlier_error.eq(error & ~span.last)

        # Without data, or not to be sent.
        stands = Signal()
        has_failed = Signal()
        leaves = Signal()
        speaks = Signal()
        has_all = Signal()
        passes = Signal()
        m.d.comb += [
            has_all.eq(
                valid
                & self.spans.valid
                & ~span.reads
                & (~is_operation | self.places.valid)
                & (~is_atomic | self.operands.valid)
            ),
            has_failed.eq((kind == SendPacketKind.BAD) | (span.status != CompletionStatus.SUCCESS)),
            leaves.eq(~is_swallowed & ~has_failed & ~is_set_up & ~is_local),
            speaks.eq(
                is_set_up
                | (
                    ~is_swallowed
                    & (has_failed | is_local | (is_data & (packet.service != Service.RC)))
                )
            ),
            stands.eq((~leaves | frames.i.ready) & (~speaks | events.i.ready)),
            passes.eq(has_all & stands),
            self.places.ready.eq(passes & is_operation),
            self.operands.ready.eq(passes & is_atomic),
            self.spans.ready.eq(passes | (moves & beat.last)),
            done.eq(passes | (moves & is_end)),
        ]

        fails = Signal()
        dead: Any = self._dead.write_data
        m.d.comb += [
            fails.eq(Mux(span.reads, error, has_failed)),
            changes.eq(
                (moves & is_end & (error | revives) & ~is_swallowed)
                | (passes & (is_set_up | ((has_failed | revives) & ~is_swallowed)))
            ),
            self._dead.write_lanes.eq(changes),
            self._dead.write_address.eq(packet.queue_pair),
            dead.dead.eq(fails & ~is_set_up),
            dead.epoch.eq(packet.epoch),
        ]
        event: Any = events.i.p
        m.d.comb += [
            events.i.valid.eq((has_all & speaks & (~leaves | frames.i.ready)) | (moves & tells)),
            event.queue_pair.eq(packet.queue_pair),
            event.psn.eq(packet.frame.psn),
            event.first.eq(packet.first),
            event.is_local.eq(is_local),
            event.kind.eq(
                Mux(
                    is_set_up,
                    SentKind.SET_UP,
                    Mux(fails, SentKind.FAILED, Mux(is_local, SentKind.LOCAL, SentKind.SENT)),
                )
            ),
        ]
        with m.If(kind == SendPacketKind.BAD):
            m.d.comb += event.status.eq(packet.status)
        with m.Elif(span.reads & error):
            m.d.comb += event.status.eq(CompletionStatus.LOCAL_PROTECTION)
        with m.Elif(~span.reads & ~is_set_up):
            m.d.comb += event.status.eq(span.status)

        self._frame(m, packet, is_atomic)
        m.d.comb += frames.i.valid.eq(
            (has_all & leaves & (~speaks | events.i.ready))
            | (
                streams
                & ~has_begun
                & ~is_swallowed
                & self.beats.valid
                & packs.ready
                & (~is_end | events.i.ready)
            )
        )
        self._tell_place(m, packet, passes & leaves & is_operation & packet.is_new, is_atomic)
        return m

    def _look_up(self, m: Module, packet, valid, is_swallowed, revives, changes, done) -> None:
        """Take packets, with whether their queue pair is dead, or was in another epoch."""
        m.submodules.dead = self._dead = dead = SimpleDualPortRam(
            shape=self._dead_layout,
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=2,
            bypass=False,
            block=not self.config.is_narrow,
        )
        ahead: Any = Signal(GatherRecordLayout(self.config), reset_less=True)
        ahead_valid = Signal()
        # Reads since the last change: the row is what it is with the second one.
        age = Signal(range(3))
        moves = Signal()
        is_free = Signal()
        is_same_epoch = Signal()
        row: Any = dead.read_data
        m.d.comb += [
            is_same_epoch.eq(ahead.epoch == row.epoch),
            moves.eq(ahead_valid & age[1] & (~valid | done) & ~changes),
            # With narrow beats the one behind comes a cycle later: what waits here is far enough
            # ahead of the data.
            is_free.eq(~ahead_valid | (C(0) if self.config.is_narrow else moves)),
            self.records.ready.eq(is_free),
            dead.read_en.eq(1),
            dead.read_address.eq(Mux(is_free, self.records.p.queue_pair, ahead.queue_pair)),
        ]
        with m.If(is_free):
            m.d.sync += [ahead_valid.eq(self.records.valid), ahead.eq(self.records.payload)]
        with m.Elif(moves):
            m.d.sync += ahead_valid.eq(0)
        with m.If(changes):
            m.d.sync += age.eq(0)
        with m.Elif(is_free):
            m.d.sync += age.eq(1)
        with m.Elif(~age[1]):
            m.d.sync += age.eq(age + 1)
        with m.If(moves | done):
            m.d.sync += valid.eq(moves)
        with m.If(moves):
            m.d.sync += [
                packet.eq(ahead),
                is_swallowed.eq(row.dead & is_same_epoch & (ahead.kind != SendPacketKind.SET_UP)),
                revives.eq(row.dead & ~is_same_epoch),
            ]

    def _frame(self, m: Module, packet: Any, is_atomic: Value) -> None:
        """Fill in an atomic operation's operands, highest byte first; of others they are there."""
        frame: Any = self._frames.i.p
        operands = self.operands.payload
        m.d.comb += frame.eq(packet.frame)
        for number in range(4):
            # Words 3 and 4 have the operand, 5 and 6 what is compared.
            begin = 64 * (number // 2) + 32 * (1 - number % 2)
            word = Cat(operands[begin + 8 * byte : begin + 8 * byte + 8] for byte in (3, 2, 1, 0))
            m.d.comb += frame.words[_OPERAND_WORD + number].eq(
                packet.frame.words[_OPERAND_WORD + number] | (word & is_atomic.replicate(32))
            )

    def _tell_place(self, m: Module, packet: Any, tells: Value, is_atomic: Value) -> None:
        """Say where the response to a READ or an atomic operation goes."""
        told: Any = Signal(ReadPlaceLayout(self.config), reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(tells),
            told.queue_pair.eq(packet.queue_pair),
            told.reads.eq(packet.reads),
            told.is_atomic.eq(is_atomic),
            told.psn.eq(packet.frame.psn),
            told.count.eq(packet.count),
            told.place.eq(self.places.payload),
            told.length.eq(packet.length),
        ]
        m.d.comb += [self.read_places.eq(told), self.read_places.valid.eq(valid)]
