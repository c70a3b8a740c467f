"""Pieces of local memory by key become spans of memory that are read."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma import MemoryRequestLayout
from ..stream import Queue
from .config import RoceConfig
from .gather_layouts import FoundLayout, GatherSpanLayout, PartLayout
from .key_check import KeyCheck, KeyRowLayout
from .layouts import CompletionStatus, PlaceLayout
from .one_row import OneRow
from .translate_signature import TranslateSignature
from .window_bind import WindowBind

__all__ = ["PieceReads"]

#: Parts that are being translated: one every 2 cycles, for 16 cycles of the Translator at most and
#: the registers here.
_TRANSLATIONS = 12
_NARROW_TRANSLATIONS = 2
#: Parts whose packet is not known to be right yet: those of one packet, 16 at most, with narrow
#: beats; else as many of others.
_HELD = 32
_NARROW_HELD = 16
#: READs and atomic operations whose place waits for what is sent before them.
_PLACES = 16
#: Spans whose data may be on the way. A memory that answers in 1 us holds 57 KB of the 57 GB/s
#: that 400 Gb/s need at most: 56 spans of 1 KiB, or 14 of 4 KiB.
_SPANS = 64
#: The same with narrow beats.
_NARROW_SPANS = 16


class PieceReads(wiring.Component):
    """Check each part's key, find where it is in memory, and read it.

    A key is right if the owner of the protection domain may use all of the piece, of which the part
    may be little; a window is none. What READs and atomic operations bring back needs the right
    ``local_write``, and a place of an atomic operation that is a multiple of 8.

    Nothing of a packet is read before all of it has been found: if a part is refused, by its key or
    by the Translator, then the packet has no spans and the status LOCAL_PROTECTION; else, if its
    list was too short or too long, LOCAL_LENGTH.

    A local operation is done here: a window's key is taken out of the tables, or put in, by the
    Translator, and of a BIND the row is written. What is not right ends with LOCAL_OPERATION, or
    BIND. One BIND at a time; packets behind it wait for it when they would be read.

    Latency from a part to its read is 11 cycles and that of the Translator, 12 with narrow beats.
    Throughput is a part every 2 cycles, or every 8 with narrow beats, for which :class:`KeyCheck`
    takes one at a time; a span a cycle. No wait depends on data that were read:
    ``translate.response`` always has room.

    Specification: IBTA Architecture Specification volume 1, 10.6 (memory management).

    Parameters
    ----------
    config : RoceConfig
        Sizes.

    Members
    -------
    parts : In(stream.Signature(PartLayout()))
        Parts. ``parts.ready`` depends on registers only.
    inline : In(stream.Signature(FoundLayout()))
        Spans of those that are ``direct``.
    keys : In(stream.Signature(KeyRowLayout(config)))
        Rows of the key table, taken at any time.
    translate : Out(TranslateSignature(config))
        Translations; the request is registered.
    requests : Out(stream.Signature(MemoryRequestLayout()))
        Reads, registered.
    spans : Out(stream.Signature(GatherSpanLayout(config)))
        For each read one, for each packet one or more. Registered.
    places : Out(stream.Signature(PlaceLayout(config)))
        For each READ and ATOMIC one, undefined if there is none. Registered.
    key_rows : Out(stream.Signature(KeyRowLayout(config)))
        Row of a window that is bound: to be written to all tables of keys, this one too.
    """

    parts: stream.Interface
    inline: stream.Interface
    keys: stream.Interface
    translate: Any
    requests: stream.Interface
    spans: stream.Interface
    places: stream.Interface
    key_rows: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "parts": In(stream.Signature(PartLayout())),
                "inline": In(stream.Signature(FoundLayout())),
                "keys": In(stream.Signature(KeyRowLayout(config))),
                "translate": Out(TranslateSignature(config)),
                "requests": Out(stream.Signature(MemoryRequestLayout())),
                "spans": Out(stream.Signature(GatherSpanLayout(config))),
                "places": Out(stream.Signature(PlaceLayout(config))),
                "key_rows": Out(stream.Signature(KeyRowLayout(config))),
            }
        )
        narrow = config.is_narrow
        translations = _NARROW_TRANSLATIONS if narrow else _TRANSLATIONS
        held_count = _NARROW_HELD if narrow else _HELD
        self._asked_layout = data.StructLayout(
            {
                "asked": 1,
                "direct": 1,
                "refused": 1,
                "misfits": 1,
                "closes": 1,
                "last": 1,
                "is_local": 1,
                "is_bind": 1,
            }
        )
        held = data.StructLayout({"has": 1, "closes": 1, "last": 1, "found": FoundLayout()})
        place = PlaceLayout(config)
        self._key_check = KeyCheck(config=config, shape=PartLayout())
        self._bind = WindowBind(config=config)
        # Each translation has a row in `asked`, and so a place in `found`.
        self._asked = Queue(shape=self._asked_layout, depth=translations, shallow=True)
        self._found = Queue(shape=FoundLayout(), depth=translations, shallow=True, counted=True)
        self._held = Queue(shape=held, depth=held_count, shallow=True)
        self._fates = Queue(shape=CompletionStatus, depth=held_count, shallow=True)
        self._places = (
            OneRow(shape=place) if narrow else Queue(shape=place, depth=_PLACES, shallow=True)
        )
        self._spans = Queue(
            shape=GatherSpanLayout(config),
            depth=_NARROW_SPANS if narrow else _SPANS,
            shallow=narrow,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.key_check = check = self._key_check
        m.submodules.bind = self._bind
        m.submodules.asked = self._asked
        m.submodules.found = self._found
        m.submodules.held = self._held
        m.submodules.fates = self._fates
        m.submodules.places = places = self._places
        m.submodules.spans = spans = self._spans
        wiring.connect(m, wiring.flipped(self.parts), check.i)
        wiring.connect(m, wiring.flipped(self.keys), check.keys)
        wiring.connect(m, places.o, wiring.flipped(self.places))
        wiring.connect(m, spans.o, wiring.flipped(self.spans))
        # From a BIND's last part until it is done.
        binds = Signal()
        self._ask(m, binds)
        self._collect(m, binds)
        self._read(m)
        return m

    def _ask(self, m: Module, binds: Signal) -> None:
        """Decide on each part's key; have places translated."""
        checked = self._key_check.o
        part: Any = checked.p.request
        key: Any = checked.p.key
        # Nothing of what stands here leaves in the cycle in which it comes.
        valid = Signal()
        is_right = Signal()
        bind = self._bind
        may_bind = Signal()
        flags: Any = Signal(self._asked_layout, reset_less=True)
        invalidates = Signal(reset_less=True)
        is_operation = Signal(reset_less=True)
        take = Signal.like(part.take, reset_less=True)
        place: Any = Signal(PlaceLayout(self.config), reset_less=True)
        low = Signal(33, reset_less=True)  # of `place.linear`, with a carry into the high half
        m.d.comb += [
            is_right.eq(
                key.found
                & key.inside
                & ~key.is_window
                & (key.domain == part.domain)
                & (key.local_write | ~part.is_operation)
                & ~(part.is_atomic & key.place.linear[:3].any())
            ),
            may_bind.eq(~(part.is_bind & binds)),
            checked.ready.eq(~valid & may_bind),
            bind.checked.eq(checked.payload),
            bind.takes.eq(checked.valid & checked.ready),
        ]
        with m.If(bind.takes & part.is_bind & part.last):
            m.d.sync += binds.eq(1)
        with m.If(~valid):
            m.d.sync += [
                valid.eq(checked.valid & may_bind),
                flags.asked.eq(
                    Mux(
                        part.is_local,
                        bind.is_right & (~part.is_bind | ~part.is_window),
                        part.has & is_right & ~part.is_operation,
                    )
                ),
                flags.direct.eq(part.direct),
                flags.refused.eq(Mux(part.is_local, ~bind.is_right, part.has & ~is_right)),
                flags.misfits.eq(part.misfits),
                flags.closes.eq(part.closes),
                flags.last.eq(part.last),
                flags.is_local.eq(part.is_local),
                flags.is_bind.eq(part.is_bind),
                invalidates.eq(part.is_local & ~part.is_bind),
                is_operation.eq(part.is_operation),
                take.eq(part.take),
                place.eq(key.place),
                low.eq(key.place.linear[:32] + part.skip),
            ]

        request = self.translate.request
        asked, places = self._asked.i, self._places.i
        # A BIND asks when its row is known, if there can be one.
        asks = Signal()
        is_known = Signal()
        can_ask = Signal()
        leaves = Signal()
        linear = Cat(low[:32], place.linear[32:] + low[32])
        m.d.comb += [
            is_known.eq(~flags.is_bind | ~flags.asked | bind.is_made),
            asks.eq(flags.asked & (~flags.is_bind | bind.fits)),
            can_ask.eq(
                is_known
                & (
                    ~flags.asked
                    | ~request.valid
                    | (C(0) if self.config.is_narrow else request.ready)
                )
            ),
            leaves.eq(valid & can_ask & asked.ready & (~is_operation | places.ready)),
            asked.valid.eq(valid & can_ask & (~is_operation | places.ready)),
            asked.p.eq(flags),
            asked.p.asked.eq(asks),
            asked.p.refused.eq(flags.refused | (flags.asked & ~asks)),
            places.valid.eq(valid & can_ask & is_operation & asked.ready),
            places.p.eq(place),
        ]
        wanted: Any = Signal(PlaceLayout(self.config), reset_less=True)
        length = Signal.like(take, reset_less=True)
        wanted_is = Signal(2, reset_less=True)
        m.d.comb += [
            request.p.place.eq(wanted),
            request.p.length.eq(length),
            Cat(request.p.invalidate, request.p.bind).eq(wanted_is),
        ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(leaves):
            m.d.sync += valid.eq(0)
            with m.If(asks):
                m.d.sync += [
                    request.valid.eq(1),
                    wanted.eq(place),
                    wanted.linear.eq(linear),
                    length.eq(take),
                    wanted_is.eq(Cat(invalidates, flags.is_bind)),
                ]
                with m.If(flags.is_bind):
                    m.d.sync += [wanted.key.eq(bind.key), wanted.variant.eq(bind.variant)]

    def _collect(self, m: Module, binds: Signal) -> None:
        """Hold what is found until all of its packet is."""
        response = self.translate.response
        found: Any = self._found
        asked: Any = self._asked.o
        held, fates, inline = self._held.i, self._fates.i, self.inline
        m.d.comb += [
            found.i.valid.eq(response.valid),
            found.i.p.ok.eq(response.p.ok),
            found.i.p.two.eq(response.p.spans[1].length.any()),
            found.i.p.spans.eq(response.p.spans),
        ]
        is_here = Signal()
        moves = Signal()
        refused = Signal()
        was_refused = Signal()
        writes = Signal()
        has_written = Signal()
        m.d.comb += [
            writes.eq(asked.p.is_bind & asked.p.asked & found.o.p.ok & ~has_written),
            self.key_rows.valid.eq(asked.valid & found.o.valid & writes),
            self.key_rows.payload.eq(self._bind.row),
            is_here.eq(
                asked.valid
                & (~asked.p.asked | (found.o.valid & ~writes))
                & (~asked.p.direct | inline.valid)
            ),
            moves.eq(is_here & held.ready & fates.ready),
            asked.ready.eq(moves),
            found.o.ready.eq(moves & asked.p.asked),
            inline.ready.eq(moves & asked.p.direct),
            held.valid.eq(is_here & fates.ready),
            held.p.has.eq((asked.p.asked & ~asked.p.is_local) | asked.p.direct),
            held.p.closes.eq(asked.p.closes),
            held.p.last.eq(asked.p.last),
            held.p.found.eq(Mux(asked.p.direct, inline.p, found.o.p)),
            fates.valid.eq(is_here & held.ready & asked.p.last),
            refused.eq(asked.p.refused | (asked.p.asked & ~found.o.p.ok) | was_refused),
        ]
        with m.If(refused):
            m.d.comb += fates.payload.eq(
                Mux(
                    asked.p.is_bind,
                    CompletionStatus.BIND,
                    Mux(
                        asked.p.is_local,
                        CompletionStatus.LOCAL_OPERATION,
                        CompletionStatus.LOCAL_PROTECTION,
                    ),
                )
            )
        with m.Elif(asked.p.misfits):
            m.d.comb += fates.payload.eq(CompletionStatus.LOCAL_LENGTH)
        with m.Else():
            m.d.comb += fates.payload.eq(CompletionStatus.SUCCESS)
        with m.If(moves):
            m.d.sync += [was_refused.eq(refused & ~asked.p.last), has_written.eq(0)]
            with m.If(asked.p.is_bind & asked.p.last):
                m.d.sync += binds.eq(0)
        with m.Elif(self.key_rows.valid & self.key_rows.ready):
            m.d.sync += has_written.eq(1)

    def _read(self, m: Module) -> None:
        """Read the spans of packets that are right."""
        held: Any = self._held.o
        fates = self._fates.o
        spans: Any = self._spans.i
        requests = self.requests
        is_right = Signal()
        reads = Signal()
        passes = Signal()
        speaks = Signal()  # the packet has no data, or is not sent
        request_free = Signal()
        in_second = Signal()
        is_last_span = Signal()
        moves = Signal()
        done = Signal()
        span: Any = Signal(held.p.found.spans[0].shape())
        offset = Signal(range(self.config.data_bytes))
        m.d.comb += [
            is_right.eq(fates.payload == CompletionStatus.SUCCESS),
            reads.eq(held.valid & fates.valid & is_right & held.p.has),
            passes.eq(held.valid & fates.valid & ~(is_right & held.p.has)),
            speaks.eq(Mux(is_right, held.p.closes, held.p.last)),
            request_free.eq(requests.ready | ~requests.valid),
            is_last_span.eq(~reads | in_second | ~held.p.found.two),
            span.eq(Mux(in_second, held.p.found.spans[1], held.p.found.spans[0])),
            spans.valid.eq((reads & request_free) | (passes & speaks)),
            spans.p.reads.eq(reads),
            spans.p.offset.eq(offset),
            spans.p.last.eq(Mux(reads, held.p.closes, held.p.last) & is_last_span),
            spans.p.status.eq(fates.payload),
            moves.eq((reads & request_free & spans.ready) | (passes & (spans.ready | ~speaks))),
            done.eq(moves & is_last_span),
            held.ready.eq(done),
            fates.ready.eq(done & held.p.last),
        ]
        wanted: Any = Signal(span.shape(), reset_less=True)
        whole: Any = Signal(MemoryRequestLayout())
        m.d.comb += [
            whole.space.eq(wanted.space),
            whole.address.eq(wanted.address),
            whole.length.eq(wanted.length),
            requests.payload.eq(whole),
        ]
        with m.If(request_free):
            m.d.sync += [requests.valid.eq(reads & spans.ready), wanted.eq(span)]
        with m.If(moves):
            m.d.sync += [
                in_second.eq(~is_last_span),
                offset.eq(Mux(spans.p.last, 0, offset + span.length)),
            ]
