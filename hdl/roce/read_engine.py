"""Data of READ responses, fetched from memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryReadSignature, MemoryRequestLayout
from ..stream import PacketSignature, Queue, Realign, SkidBuffer
from ..stream.realign import kept_count
from .answer_layouts import AnswerKind, AnswerLayout, ReadSegmentLayout
from .config import RoceConfig
from .layouts import (
    PAYLOAD_BITS,
    CompletionStatus,
    FailureLayout,
    SpanLayout,
    StrobeLayout,
    TranslateRequestLayout,
)
from .one_row import OneRow
from .translate_signature import TranslateSignature

__all__ = ["ReadEngine"]

#: Segments whose data may be on the way. A memory that answers in 1 us holds 57 KB of the 57 GB/s
#: that 400 Gb/s of responses need at most: 56 segments of 1 KiB, or 14 of 4 KiB.
_SEGMENTS_IN_FLIGHT = 64
#: The same with narrow beats, of which a segment of 256 bytes has 16 or more.
_NARROW_SEGMENTS = 16
#: Cycles from a segment to its first read: 16 of the Translator at most, and the registers here.
_TRANSLATION_CYCLES = 22
#: Bytes of the shortest segments that may follow each other without end: the smallest path MTU.
_SHORT_SEGMENT = 256

# AETH syndromes (9.7.5.2.8).
_REMOTE_ACCESS_NAK = 0x62
_REMOTE_OPERATION_NAK = 0x63

# Fields of an answer that differ between READ responses.
_ROW_FIELDS = ("queue_pair", "psn", "msn", "syndrome", "first", "last", "payload_bytes")


class ReadEngine(wiring.Component):
    """Fetch the data of each segment, and give them on behind its answer.

    A segment without bytes is an answer at once. Any other is translated; its one or two spans are
    read, and what comes is one packet of ``data``. Everything leaves in the order of the segments.

    Where something fails, the queue pair is told to ``failures`` and answered with
    one NAK. If the translation is refused, that NAK (0x62) stands in place of the segment's answer;
    but a segment of a READ that was asked ``again`` gives only ``sent`` then: that its answer was
    lost on the way, or that the network repeats, must not end a queue pair whose key was rightly
    taken away since.
    If memory fails, the answer and the data have left already: the packet then ends with ``error``,
    and the NAK (0x63, of the segment's PSN) comes behind it, so that this segment has two answers.
    What the queue pair has behind that, to its next READ's first segment, gives neither answer nor
    data: only ``sent``, as every segment does once. One failed queue pair is remembered. If
    another one fails while the first still has segments here, these are looked at again, and may
    fail again.

    Latency is 1 cycle from a segment to the Translator; from its response to the read 2 cycles at
    8 bytes a beat and 3 above; of the data that of :class:`Realign`, with narrow beats one more, so
    4 cycles. An answer is there 2 cycles after the read at 8 bytes a beat, 3 at 16 and 4 above, or
    4, 6 and 7 after a segment without bytes. Throughput is a beat per cycle across packets of 256
    bytes or more, with the Translator's latency of 16 cycles, if memory gives as much; the join of
    two spans takes a cycle more if the first ends within a beat. 64 segments or more are under way
    at a time, 16 with narrow beats. Only ``segments`` is held back where memory is slow: no wait
    depends on another block than memory, the Translator and who takes answers, data and failures.

    Specification: IBTA Architecture Specification volume 1, 9.7.5 (READ responses and NAKs).

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    segments : In(stream.Signature(ReadSegmentLayout(config)))
        Segments. ``segments.ready`` depends combinationally on ``translate.request.ready``, with
        narrow beats on registers only.
    translate : Out(TranslateSignature(config))
        Translations; the request is registered.
    reads : Out(MemoryReadSignature(data_bytes))
        Reads; the request is registered. ``reads.data.ready`` depends combinationally on
        ``data.ready`` and ``reads.data.p.last``. Responses are not looked at: a read that failed
        has ``error`` in its data.
    answers : Out(stream.Signature(AnswerLayout(config)))
        READ_RESPONSE or, as a NAK, ACKNOWLEDGE; ``original`` is 0. Who takes an answer may
        wait for a beat of its data first, and who takes data for its answer.
    data : Out(PacketSignature(data_bytes))
        For each answer with payload a packet of as many bytes, registered. With ``error`` it is not
        to be sent.
    failures : Out(stream.Signature(FailureLayout(config)))
        Queue pairs that fail, registered: REMOTE_ACCESS or REMOTE_OPERATION.
    sent : Out(StrobeLayout(config))
        Strobe, registered, for each segment one, in order: its answer has been taken, or there is
        none.
    """

    segments: stream.Interface
    translate: Any
    reads: Any
    answers: stream.Interface
    data: stream.Interface
    failures: stream.Interface
    sent: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "segments": In(stream.Signature(ReadSegmentLayout(config))),
                "translate": Out(TranslateSignature(config)),
                "reads": Out(MemoryReadSignature(config.data_bytes)),
                "answers": Out(stream.Signature(AnswerLayout(config))),
                "data": Out(PacketSignature(config.data_bytes)),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "sent": Out(StrobeLayout(config)),
            }
        )
        answer = AnswerLayout(config)
        row = data.StructLayout({name: answer[name].shape for name in _ROW_FIELDS})
        self._parked_layout = data.StructLayout({"row": row, "again": 1, "has_bytes": 1})
        self._found_layout = data.StructLayout(
            {"ok": 1, "two": 1, "spans": data.ArrayLayout(SpanLayout(), 2)}
        )
        # Fate of a segment: `has_data` if it was read, of `two` spans; `refused`, or `lapsed` if it
        # was so in silence; else no bytes.
        self._pending_layout = data.StructLayout(
            {"row": row, "has_data": 1, "two": 1, "refused": 1, "lapsed": 1}
        )

        # `is_silent`: there is no answer; `is_extra`: its segment had one before.
        answer_fields = {"row": row, "is_nak": 1, "is_silent": 1, "is_extra": 1}
        # As many translations as segments of 256 bytes begin while one is made: 1 at 8 bytes a
        # beat, 11 at 128. Each of them has a row in `parked`, and so a place in `found`. As many
        # answers may wait for the first beat of their data, which is in `realign` meanwhile.
        translations = -(-_TRANSLATION_CYCLES * config.data_bytes // _SHORT_SEGMENT)
        if translations == 1:
            self.parked = OneRow(shape=self._parked_layout)
            self.found = OneRow(shape=self._found_layout)
            self.rows = OneRow(shape=data.StructLayout(answer_fields))
        else:
            self.parked = Queue(shape=self._parked_layout, depth=translations, shallow=True)
            self.found = Queue(
                shape=self._found_layout, depth=translations, shallow=True, counted=True
            )
            self.rows = Queue(
                shape=data.StructLayout(answer_fields), depth=translations, shallow=True
            )
        narrow = config.is_narrow
        self.pending = Queue(
            shape=self._pending_layout,
            depth=_NARROW_SEGMENTS if narrow else _SEGMENTS_IN_FLIGHT,
            block=not narrow,
            shallow=narrow,
        )
        self.realign = Realign(data_bytes=config.data_bytes, has_base=False)

    def elaborate(self, platform):
        m = Module()
        m.submodules.parked = self.parked
        m.submodules.found = self.found
        m.submodules.pending = self.pending
        m.submodules.realign = self.realign
        m.submodules.rows = self.rows
        self._ask(m)
        self._read(m)
        self._finish(m)
        self._answer(m)
        return m

    def _ask(self, m: Module) -> None:
        """Take segments; have their places translated."""
        segment: Any = self.segments.p
        request, response = self.translate.request, self.translate.response
        parked: Any = self.parked.i
        found: Any = self.found.i
        has_bytes = Signal()
        can_ask = Signal()
        m.d.comb += [
            has_bytes.eq(segment.answer.payload_bytes.any()),
            can_ask.eq(~request.valid | (0 if self.config.is_narrow else request.ready)),
            self.segments.ready.eq(parked.ready & can_ask),
            parked.valid.eq(self.segments.valid & can_ask),
            parked.p.has_bytes.eq(has_bytes),
            parked.p.again.eq(segment.again),
            *(parked.p.row[name].eq(segment.answer[name]) for name in _ROW_FIELDS),
            found.valid.eq(response.valid),
            found.p.ok.eq(response.p.ok),
            found.p.two.eq(response.p.spans[1].length.any()),
            found.p.spans.eq(response.p.spans),
        ]
        asked: Any = Signal(TranslateRequestLayout(self.config), reset_less=True)
        m.d.comb += [
            request.p.place.eq(asked.place),
            request.p.length.eq(asked.length),
            request.p.invalidate.eq(0),
        ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(can_ask):
            m.d.sync += [
                request.valid.eq(self.segments.valid & parked.ready & has_bytes),
                asked.place.eq(segment.place),
                asked.length.eq(segment.answer.payload_bytes),
            ]

    def _read(self, m: Module) -> None:
        """Read what was found; from then on the segment is pending."""
        parked: Any = self.parked.o
        found: Any = self.found.o
        pending: Any = self.pending.i
        request = self.reads.request
        request_free = Signal()
        has_data = Signal()
        is_second = Signal()  # its first span is read, its second one is to be
        reads = Signal()
        done = Signal()
        m.d.comb += [
            request_free.eq(request.ready | ~request.valid),
            has_data.eq(parked.p.has_bytes & found.p.ok),
            pending.valid.eq(
                parked.valid
                & ~is_second
                & (~parked.p.has_bytes | (found.valid & (~found.p.ok | request_free)))
            ),
            pending.p.row.eq(parked.p.row),
            pending.p.has_data.eq(has_data),
            pending.p.two.eq(found.p.two),
            pending.p.refused.eq(parked.p.has_bytes & ~found.p.ok & ~parked.p.again),
            pending.p.lapsed.eq(parked.p.has_bytes & ~found.p.ok & parked.p.again),
            reads.eq(
                request_free & (is_second | (parked.valid & found.valid & has_data & pending.ready))
            ),
            done.eq(
                Mux(
                    is_second,
                    request_free,
                    pending.valid & pending.ready & ~(has_data & found.p.two),
                )
            ),
            parked.ready.eq(done),
            found.ready.eq(done & parked.p.has_bytes),
        ]
        wanted: Any = Signal(SpanLayout(), reset_less=True)
        whole: Any = Signal(MemoryRequestLayout())
        m.d.comb += [
            whole.space.eq(wanted.space),
            whole.address.eq(wanted.address),
            whole.length.eq(wanted.length),
            request.payload.eq(whole),
            self.reads.response.ready.eq(1),
        ]
        with m.If(request_free):
            m.d.sync += [
                request.valid.eq(reads),
                wanted.eq(Mux(is_second, found.p.spans[1], found.p.spans[0])),
            ]
        with m.If(reads):
            m.d.sync += is_second.eq(found.p.two & ~is_second)

    def _finish(self, m: Module) -> None:
        """Take the segment that has been pending longest: its data, and what is to be answered."""
        pending: Any = self.pending.o
        head: Any = pending.p
        row: Any = head.row
        beat: Any = self.reads.data.p
        failures = self.failures
        realign = self.realign
        slot: Any = realign.i.p
        if self.config.is_narrow:
            m.submodules.skid = skid = SkidBuffer(data_bytes=self.config.data_bytes)
            wiring.connect(m, realign.o, skid.i)
            wiring.connect(m, skid.o, wiring.flipped(self.data))
        else:
            wiring.connect(m, realign.o, wiring.flipped(self.data))

        failed: Any = Signal(StrobeLayout(self.config))
        is_failed = Signal()
        is_ignored = Signal()
        m.d.comb += [
            is_failed.eq(failed.valid & (failed.queue_pair == row.queue_pair)),
            is_ignored.eq(is_failed & ~row.first),
        ]

        # Answer: the segment's own, then a NAK if its data failed; a NAK alone if it was refused.
        rows: Any = self.rows.i
        is_answered = Signal()
        is_damaged = Signal()
        is_nak = Signal()
        taken = Signal()
        m.d.comb += [
            is_nak.eq((head.refused & ~is_ignored) | is_damaged),
            rows.valid.eq(pending.valid & Mux(is_nak, ~failures.valid, ~is_answered)),
            rows.p.row.eq(row),
            rows.p.row.payload_bytes.eq(row.payload_bytes & ~is_nak.replicate(PAYLOAD_BITS)),
            rows.p.is_nak.eq(is_nak),
            rows.p.is_silent.eq(is_ignored | head.lapsed),
            rows.p.is_extra.eq(is_damaged),
            taken.eq(rows.valid & rows.ready),
        ]

        # Data: the first of two packets leaves without its last beat, if that is not full; it is
        # kept for the next beat, which begins with it: an offset of data_bytes, and no beat leaves.
        # Its bytes come no more when the second one's do, so the offset may differ. Elsewhere
        # `offset` is 0, where the second packet begins included if the first one's last beat is
        # full.
        in_second = Signal()
        is_first_of_two = Signal()
        is_tail = Signal()
        offset = Signal(range(self.config.data_bytes))
        earlier_error = Signal()
        error = Signal()
        is_end = Signal()
        wants_data = Signal()
        may_end = Signal()
        moves = Signal()
        m.d.comb += [
            is_first_of_two.eq(head.two & ~in_second),
            is_tail.eq(is_first_of_two & beat.last & ~beat.keep[-1]),
            is_end.eq(beat.last & ~is_first_of_two),
            error.eq(beat.error | earlier_error),
            wants_data.eq(pending.valid & head.has_data & ~is_damaged),
            may_end.eq(~is_end | is_answered),
            self.reads.data.ready.eq(wants_data & may_end & (is_ignored | realign.i.ready)),
            realign.i.valid.eq(wants_data & ~is_ignored & self.reads.data.valid & may_end),
            moves.eq(self.reads.data.valid & self.reads.data.ready),
            slot.data.eq(beat.data),
            slot.keep.eq(beat.keep),
            slot.offset.eq(Cat(offset, is_tail)),
            slot.emit.eq(~is_tail),
            slot.last.eq(is_end),
            slot.error.eq(error),
        ]
        with m.If(moves & beat.last):
            m.d.sync += [
                in_second.eq(is_first_of_two),
                offset.eq(Mux(is_first_of_two, kept_count(beat.keep), 0)),
                earlier_error.eq(error & is_first_of_two),
            ]

        ends = Signal()
        leaves = Signal()
        m.d.comb += [
            ends.eq(moves & is_end),
            leaves.eq(
                Mux(
                    head.has_data & ~is_damaged,
                    ends & (is_ignored | ~error),
                    taken,
                )
            ),
            pending.ready.eq(leaves),
        ]
        m.d.sync += [
            is_answered.eq((is_answered | taken) & ~leaves),
            is_damaged.eq((is_damaged | (ends & error)) & ~leaves),
        ]

        fails = Signal()
        failure: Any = Signal(FailureLayout(self.config), reset_less=True)
        m.d.comb += [fails.eq(taken & is_nak), failures.payload.eq(failure)]
        with m.If(failures.ready):
            m.d.sync += failures.valid.eq(0)
        with m.If(fails):
            m.d.sync += [
                failures.valid.eq(1),
                failure.queue_pair.eq(row.queue_pair),
                failure.status.eq(
                    Mux(
                        is_damaged,
                        CompletionStatus.REMOTE_OPERATION,
                        CompletionStatus.REMOTE_ACCESS,
                    )
                ),
                failed.valid.eq(1),
                failed.queue_pair.eq(row.queue_pair),
            ]
        with m.Elif(leaves & is_failed & row.first):
            m.d.sync += failed.valid.eq(0)

    def _answer(self, m: Module) -> None:
        """Answer; tell when a segment is answered, or would be."""
        rows: Any = self.rows.o
        row: Any = rows.p.row
        answers = self.answers
        answer: Any = answers.p
        m.d.comb += [
            answers.valid.eq(rows.valid & ~rows.p.is_silent),
            rows.ready.eq(answers.ready | rows.p.is_silent),
            *(answer[name].eq(row[name]) for name in ("queue_pair", "psn", "msn", "first", "last")),
            answer.kind.eq(AnswerKind.READ_RESPONSE),
            answer.syndrome.eq(row.syndrome),
            answer.payload_bytes.eq(row.payload_bytes),  # of a NAK 0
        ]
        with m.If(rows.p.is_nak):
            m.d.comb += [
                answer.kind.eq(AnswerKind.ACKNOWLEDGE),
                answer.syndrome.eq(Mux(rows.p.is_extra, _REMOTE_OPERATION_NAK, _REMOTE_ACCESS_NAK)),
            ]
        queue_pair = Signal(len(row.queue_pair), reset_less=True)
        m.d.comb += self.sent.queue_pair.eq(queue_pair)
        m.d.sync += [
            self.sent.valid.eq(rows.valid & rows.ready & ~rows.p.is_extra),
            queue_pair.eq(row.queue_pair),
        ]
