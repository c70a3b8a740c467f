"""Core of every block that moves packets to another byte offset."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import Rotate
from .packet import PacketLayout, PacketSignature

__all__ = ["Realign", "SlotLayout", "kept_count"]


def kept_count(keep: Value) -> Value:
    """Bytes that ``keep`` marks, contiguous from byte 0: an encoder of where it ends."""
    ends = keep & ~(keep >> 1)
    width = len(keep).bit_length()
    return Cat(
        Cat(end for n, end in enumerate(ends, start=1) if n >> bit & 1).any()
        for bit in range(width)
    )


class SlotLayout(data.StructLayout):
    """One step of :class:`Realign`: new bytes and where in the output they go.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    has_base : bool
        Whether ``base`` and ``restart`` are there at all.

    Fields
    ------
    data, keep : 8 * data_bytes bits, data_bytes bits
        New bytes, as in a beat. A slot without ``last`` is full, or is empty (``keep`` is 0).
    offset : range(data_bytes + 1)
        Place of byte 0 of ``data`` in this slot's output beat. Bytes that do not fit are the
        beginning of the next beat. The slots of a packet that carry bytes have the same offset.
    emit : 1 bit
        This slot's output beat leaves. Without it, what lies in this beat is dropped, and
        only what goes to the next beat stays.
    last, error : 1 bit each
        Final slot of the packet, and whether the packet is damaged.
    base : 8 * data_bytes bits
        With ``restart``: the bytes below ``offset``.
    restart : 1 bit
        The bytes below ``offset`` are those of ``base``, not those kept of the last slot.
    """

    def __init__(self, data_bytes: int, *, has_base: bool):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "data": 8 * data_bytes,
                "keep": data_bytes,
                "offset": range(data_bytes + 1),
                "emit": 1,
                "last": 1,
                "error": 1,
                "base": 8 * data_bytes if has_base else 0,
                "restart": 1 if has_base else 0,
            }
        )


class Realign(wiring.Component):
    """Shift packets to another byte offset, one slot and one output beat per cycle.

    The bytes of a slot are rotated by its ``offset``. Those that fit into the slot's beat join
    the bytes that the last slot left below ``offset``; the others are kept for the next beat.
    What is kept of a packet's last slot leaves as a beat of its own. That beat leaves while a
    slot without ``emit`` is taken, or when no slot is there; a slot with ``emit`` waits for it,
    so at every cycle either a slot is taken or a beat leaves that is needed.

    A packet whose last slot has no ``emit`` and leaves nothing is empty: no beat leaves, and
    ``empty`` is pulsed. Whatever ``keep`` and ``offset`` say, each ``last`` slot makes
    exactly one output beat with ``last``, or one pulse of ``empty``.

    Latency is 3 cycles for up to 16 bytes a beat and 4 above: the slot's register, the rotator of
    one or two stages, and the output; one more for a beat that is kept. Throughput is 1 slot per
    cycle, and 1 beat per cycle where an output beat is needed beyond the slots. The only state
    from one slot to the next is what is kept and whether it is a packet's end: no arithmetic.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    has_base : bool
        Whether a slot can bring the bytes below its offset; see :class:`SlotLayout`.

    Members
    -------
    i : In(stream.Signature(SlotLayout(data_bytes, has_base)))
        Slots. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(data_bytes))
        Packets, registered.
    empty : Out(1)
        Pulse, registered: a packet ended without a byte.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two.
    """

    i: stream.Interface
    o: stream.Interface
    empty: Signal

    def __init__(self, *, data_bytes: int, has_base: bool):
        self.data_bytes = data_bytes
        self.has_base = has_base
        super().__init__(
            {
                "i": In(stream.Signature(SlotLayout(data_bytes, has_base=has_base))),
                "o": Out(PacketSignature(data_bytes)),
                "empty": Out(1),
            }
        )
        self.tag_layout = data.StructLayout(
            {
                "below": data_bytes,
                "emit": 1,
                "last": 1,
                "error": 1,
                "base": 8 * data_bytes if has_base else 0,
                "restart": 1 if has_base else 0,
            }
        )
        self.rotate = Rotate(
            lane_count=data_bytes,
            lane_bits=9,
            tag_bits=self.tag_layout.size,
            stages=1 if data_bytes <= 16 else 2,
            direction="left",
        )
        # A packet's end is kept: its bytes, and whether the packet is damaged.
        self.pending = Signal()
        self.kept = Signal(
            data.StructLayout({"data": 8 * data_bytes, "keep": data_bytes, "error": 1}),
            reset_less=True,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rotate = rotate = self.rotate

        slot = Signal(SlotLayout(self.data_bytes, has_base=self.has_base), reset_less=True)
        slot_valid = Signal()
        m.d.comb += self.i.ready.eq(rotate.i.ready | ~slot_valid)
        with m.If(self.i.ready):
            m.d.sync += [slot_valid.eq(self.i.valid), slot.eq(self.i.payload)]

        tag = Signal(self.tag_layout)
        m.d.comb += [
            tag.below.eq(Cat(slot.offset > n for n in range(self.data_bytes))),
            tag.emit.eq(slot.emit),
            tag.last.eq(slot.last),
            tag.error.eq(slot.error),
            tag.base.eq(slot.base),
            tag.restart.eq(slot.restart),
            rotate.i.valid.eq(slot_valid),
            rotate.i.p.data.eq(
                Cat(Cat(slot.data.word_select(n, 8), slot.keep[n]) for n in range(self.data_bytes))
            ),
            # An offset of data_bytes rotates by 0: the whole slot goes to the next beat.
            rotate.i.p.amount.eq(slot.offset[: rotate.levels]),
            rotate.i.p.tag.eq(tag),
        ]

        turned = Signal(self.tag_layout)
        turned_data = Signal(8 * self.data_bytes)
        turned_keep = Signal(self.data_bytes)
        lanes = [rotate.o.p.data[9 * n : 9 * (n + 1)] for n in range(self.data_bytes)]
        m.d.comb += [
            turned.eq(rotate.o.p.tag),
            turned_data.eq(Cat(lane[:8] for lane in lanes)),
            turned_keep.eq(Cat(lane[8] for lane in lanes)),
        ]

        # The first byte of the next beat, if there is one, is at place 0 and below the offset.
        leaves_some = Signal()
        m.d.comb += leaves_some.eq(turned_keep[0] & turned.below[0])

        beat = Signal(PacketLayout(self.data_bytes), reset_less=True)
        m.d.comb += self.o.payload.eq(beat)
        pending, kept = self.pending, self.kept
        m.d.sync += self.empty.eq(0)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.comb += rotate.o.ready.eq(~(pending & turned.emit))
            m.d.sync += self.o.valid.eq(pending | (rotate.o.valid & turned.emit))
            for n in range(self.data_bytes):
                byte = slice(8 * n, 8 * (n + 1))
                below = kept.data[byte]
                if self.has_base:
                    below = Mux(turned.restart & ~pending, turned.base[byte], below)
                m.d.sync += beat.data[byte].eq(
                    Mux(pending | turned.below[n], below, turned_data[byte])
                )
            m.d.sync += [
                beat.keep.eq(Mux(pending, kept.keep, turned_keep | turned.below)),
                beat.last.eq(pending | (turned.last & ~leaves_some)),
                beat.error.eq(Mux(pending, kept.error, turned.error)),
                pending.eq(0),
            ]
            with m.If(rotate.o.ready):
                m.d.sync += [
                    pending.eq(rotate.o.valid & turned.last & leaves_some),
                    self.empty.eq(rotate.o.valid & turned.last & ~turned.emit & ~leaves_some),
                ]
                with m.If(rotate.o.valid):
                    m.d.sync += [
                        kept.data.eq(turned_data),
                        kept.keep.eq(turned_keep & turned.below),
                        kept.error.eq(turned.error),
                    ]
        return m
