"""The first bytes of every packet taken off."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .header_insert import HeaderLayout
from .packet import PacketSignature
from .realign import Realign, kept_count

__all__ = ["HeaderRemove"]


class HeaderRemove(wiring.Component):
    """Take the first 0 to ``max_header_bytes`` bytes off each packet.

    The n-th element of ``lengths`` says how many bytes the n-th packet of ``i`` loses. What
    is removed leaves on ``headers``, one element for each packet, also where it is of length 0.

    A runt, a packet that has no byte more than it loses, leaves only on ``headers``, with the bytes
    it had; ``runt`` is pulsed, and no packet appears on ``o``. Its ``error`` is lost with it.

    A length above ``max_header_bytes``, where its field can hold one, is removed like any
    other, but the header's bytes from ``max_header_bytes`` on are lost. A packet that is malformed
    leaves malformed or is a runt, and does not hang.

    Latency is one cycle more than that of :class:`Realign`, so 4 or 5 cycles from a packet's first
    remaining beat to the first output beat, if the beat after it follows at once: a beat leaves
    when the next one of its packet is here, or none is to come. ``headers`` leaves 1 cycle after
    the beat in which the header ends. Throughput is one input beat per cycle, across packets.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    max_header_bytes : int
        Most bytes to remove, 1 or more; may exceed ``data_bytes``.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets. ``i.ready`` depends combinationally on ``o.ready``, ``headers.ready``,
        ``lengths`` and ``i.p.last``.
    lengths : In(stream.Signature(range(max_header_bytes + 1)))
        Bytes to remove, one for each packet; taken with its first beat. ``lengths.ready`` depends
        combinationally on all that ``i.ready`` depends on, and on ``i.valid``.
    o : Out(PacketSignature(data_bytes))
        What remains, registered.
    headers : Out(stream.Signature(HeaderLayout(max_header_bytes)))
        What was removed, registered. Packets wait for it: tie ``headers.ready`` to 1 where nobody
        wants it.
    runt : Out(1)
        Pulse, registered: a packet had no byte left.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two or ``max_header_bytes`` is less than 1.
    """

    i: stream.Interface
    lengths: stream.Interface
    o: stream.Interface
    headers: stream.Interface
    runt: Signal

    def __init__(self, *, data_bytes: int, max_header_bytes: int):
        layout = HeaderLayout(max_header_bytes)
        self.data_bytes = data_bytes
        self.max_header_bytes = max_header_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "lengths": In(stream.Signature(layout["length"].shape)),
                "o": Out(PacketSignature(data_bytes)),
                "headers": Out(stream.Signature(layout)),
                "runt": Out(1),
            }
        )
        self.realign = Realign(data_bytes=data_bytes, has_base=False)
        self.in_packet = Signal()
        self.behind_header = Signal()
        self.later_rest = Signal(range(data_bytes), reset_less=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = self.realign
        wiring.connect(m, realign.o, wiring.flipped(self.o))
        m.d.comb += self.runt.eq(realign.empty)
        slot = realign.i.p
        offset_bits = self.data_bytes.bit_length() - 1
        beat_number_bits = max(1, len(self.lengths.payload) - offset_bits)

        # Of the first beat's length, what later beats of the packet need.
        in_packet, behind_header, later_rest = self.in_packet, self.behind_header, self.later_rest
        later_whole_beats = Signal(beat_number_bits, reset_less=True)
        beat_number = Signal(beat_number_bits)

        whole_beats = Signal(beat_number_bits)
        rest = Signal(range(self.data_bytes))
        with m.If(in_packet):
            m.d.comb += [whole_beats.eq(later_whole_beats), rest.eq(later_rest)]
        with m.Else():
            m.d.comb += [
                whole_beats.eq(self.lengths.payload[offset_bits:]),
                rest.eq(self.lengths.payload[:offset_bits]),
            ]

        is_header = Signal()
        ends_header = Signal()
        header_free = Signal()
        present = Signal()
        m.d.comb += [
            # The whole beat goes with the header; the beat after the header's whole beats may have
            # no header byte at all, but still ends the header.
            is_header.eq(~behind_header & (whole_beats != 0)),
            ends_header.eq(~behind_header & (~is_header | self.i.p.last)),
            header_free.eq(~ends_header | self.headers.ready | ~self.headers.valid),
            present.eq((in_packet | self.lengths.valid) & header_free),
            self.i.ready.eq(realign.i.ready & present),
            self.lengths.ready.eq(self.i.valid & self.i.ready & ~in_packet),
            realign.i.valid.eq(self.i.valid & present),
            slot.data.eq(self.i.p.data),
            slot.keep.eq(Mux(is_header, 0, self.i.p.keep)),
            slot.offset.eq(self.data_bytes - rest),
            slot.emit.eq(behind_header),
            slot.last.eq(self.i.p.last),
            slot.error.eq(self.i.p.error),
        ]

        accepted = Signal()
        m.d.comb += accepted.eq(self.i.valid & self.i.ready)
        with m.If(accepted):
            m.d.sync += [
                in_packet.eq(~self.i.p.last),
                behind_header.eq((behind_header | ~is_header) & ~self.i.p.last),
                beat_number.eq(Mux(self.i.p.last, 0, beat_number + 1)),
                later_whole_beats.eq(whole_beats - 1),
                later_rest.eq(rest),
            ]

        header = Signal(HeaderLayout(self.max_header_bytes), reset_less=True)
        removed = Signal(self.data_bytes)
        removed_count = Signal(range(self.data_bytes + 1))
        m.d.comb += [
            self.headers.payload.eq(header),
            removed.eq(self.i.p.keep & Cat(is_header | (rest > n) for n in range(self.data_bytes))),
            removed_count.eq(kept_count(removed)),
        ]
        with m.If(self.headers.ready):
            m.d.sync += self.headers.valid.eq(0)
        with m.If(accepted & ends_header):
            m.d.sync += [
                self.headers.valid.eq(1),
                header.length.eq(
                    Cat(removed_count[:offset_bits], beat_number + removed_count[offset_bits:])
                ),
            ]
        for number, start in enumerate(range(0, self.max_header_bytes, self.data_bytes)):
            part = slice(8 * start, 8 * min(start + self.data_bytes, self.max_header_bytes))
            width = part.stop - part.start
            earlier = Signal(width, name=f"earlier_{number}", reset_less=True)
            with m.If(accepted & (beat_number == number) & is_header):
                m.d.sync += earlier.eq(self.i.p.data)
            with m.If(accepted & ends_header):
                m.d.sync += header.data[part].eq(
                    Mux(beat_number == number, self.i.p.data[:width], earlier)
                )
        return m
