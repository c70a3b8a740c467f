"""Any number of spans become one packet."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import Rotate
from ..stream import PacketLayout, PacketSignature

__all__ = ["SpanBeatLayout", "SpanPack"]


class SpanBeatLayout(data.StructLayout):
    """A beat of a span.

    Fields
    ------
    data, keep : 8 * data_bytes, data_bytes bits
        As in a packet's beat: full but for the span's last one, of a byte at least.
    offset : range(data_bytes)
        Place of the span's first byte in a beat of the packet: all bytes before it, modulo
        ``data_bytes``.
    last, error : 1 bit each
        Final beat of the packet, and whether that is damaged.
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "data": 8 * data_bytes,
                "keep": data_bytes,
                "offset": range(data_bytes),
                "last": 1,
                "error": 1,
            }
        )


class SpanPack(wiring.Component):
    """Pack spans, of any lengths, into packets without gaps.

    A beat is rotated by its span's offset. What it fills of the packet's beat joins the bytes that
    are kept; if that beat is full, or ends the packet, it leaves, and what goes beyond is kept.
    What is kept at the end of the packet leaves as a beat of its own, in a cycle in which no other
    does; a beat that fills another one waits for it.

    Latency is 3 cycles for up to 16 bytes a beat and 4 above, one more for a beat that is kept.
    Throughput is a beat per cycle of what comes, where no kept beat has to leave in between: a
    packet takes a cycle more than it has beats coming if its last one does not fit, less one for
    each beat of it that fills none while the kept one of the packet before leaves.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`. 2 or more.

    Members
    -------
    i : In(stream.Signature(SpanBeatLayout(data_bytes)))
        Spans. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(data_bytes))
        Packets, registered.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(stream.Signature(SpanBeatLayout(data_bytes))),
                "o": Out(PacketSignature(data_bytes)),
            }
        )
        self._tag = data.StructLayout({"below": data_bytes, "last": 1, "error": 1})

    def elaborate(self, platform):
        m = Module()
        lanes = range(self.data_bytes)
        m.submodules.rotate = rotate = Rotate(
            lane_count=self.data_bytes,
            lane_bits=9,
            tag_bits=self._tag.size,
            stages=1 if self.data_bytes <= 16 else 2,
            direction="left",
        )

        beat = Signal(SpanBeatLayout(self.data_bytes), reset_less=True)
        beat_valid = Signal()
        tag = Signal(self._tag)
        m.d.comb += [
            self.i.ready.eq(rotate.i.ready | ~beat_valid),
            tag.below.eq(Cat(beat.offset > n for n in lanes)),
            tag.last.eq(beat.last),
            tag.error.eq(beat.error),
            rotate.i.valid.eq(beat_valid),
            rotate.i.p.data.eq(Cat(Cat(beat.data.word_select(n, 8), beat.keep[n]) for n in lanes)),
            rotate.i.p.amount.eq(beat.offset),
            rotate.i.p.tag.eq(tag),
        ]
        with m.If(self.i.ready):
            m.d.sync += [beat_valid.eq(self.i.valid), beat.eq(self.i.payload)]

        turned = Signal(self._tag)
        turned_keep = Signal(self.data_bytes)
        is_full = Signal()
        emits = Signal()
        leaves_some = Signal()
        m.d.comb += [
            turned.eq(rotate.o.p.tag),
            turned_keep.eq(Cat(rotate.o.p.data[9 * n + 8] for n in lanes)),
            # No offset is that large: if there is a byte, it belongs to this beat.
            is_full.eq(turned_keep[-1]),
            emits.eq(is_full | turned.last),
            # The first byte of the next beat, if there is one, is at place 0 and below the offset.
            leaves_some.eq(turned_keep[0] & turned.below[0]),
        ]

        out = Signal(PacketLayout(self.data_bytes), reset_less=True)
        kept = Signal(8 * self.data_bytes, reset_less=True)
        kept_keep = Signal(self.data_bytes, reset_less=True)
        kept_error = Signal(reset_less=True)
        is_end_kept = Signal()
        m.d.comb += self.o.payload.eq(out)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.comb += rotate.o.ready.eq(~(is_end_kept & emits))
            m.d.sync += [
                self.o.valid.eq(is_end_kept | (rotate.o.valid & emits)),
                out.keep.eq(Mux(is_end_kept, kept_keep, turned_keep | turned.below)),
                out.last.eq(is_end_kept | (turned.last & ~leaves_some)),
                out.error.eq(Mux(is_end_kept, kept_error, turned.error)),
            ]
            for n in lanes:
                byte = slice(8 * n, 8 * (n + 1))
                new = rotate.o.p.data[9 * n : 9 * n + 8]
                m.d.sync += out.data[byte].eq(Mux(is_end_kept | turned.below[n], kept[byte], new))
                with m.If(rotate.o.valid & rotate.o.ready & (emits | ~turned.below[n])):
                    m.d.sync += kept[byte].eq(new)
            with m.If(rotate.o.ready):
                m.d.sync += is_end_kept.eq(rotate.o.valid & turned.last & leaves_some)
                with m.If(rotate.o.valid):
                    m.d.sync += [
                        kept_keep.eq(turned_keep & turned.below),
                        kept_error.eq(turned.error),
                    ]
            with m.Else():
                m.d.sync += is_end_kept.eq(0)
        return m
