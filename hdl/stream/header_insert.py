"""A header of any length in front of every packet."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketSignature
from .realign import Realign

__all__ = ["HeaderInsert", "HeaderLayout"]


class HeaderLayout(data.StructLayout):
    """A header as one value.

    Parameters
    ----------
    max_header_bytes : int
        Bytes of the longest header, 1 or more.

    Fields
    ------
    data : 8 * max_header_bytes bits
        Byte 0 is first on the wire; bytes from ``length`` on are undefined.
    length : range(max_header_bytes + 1)
        Bytes of the header.

    Raises
    ------
    ValueError
        If ``max_header_bytes`` is less than 1.
    """

    def __init__(self, max_header_bytes: int):
        if max_header_bytes < 1:
            raise ValueError(f"max_header_bytes must be 1 or more, not {max_header_bytes!r}")
        self.max_header_bytes = max_header_bytes
        super().__init__({"data": 8 * max_header_bytes, "length": range(max_header_bytes + 1)})


class HeaderInsert(wiring.Component):
    """Put a header of 0 to ``max_header_bytes`` bytes in front of each packet.

    The n-th element of ``headers`` goes in front of the n-th packet of ``i``. What whole beats
    the header fills leave as they are; the rest of the header, perhaps nothing, leaves in one
    beat with the packet's first bytes.

    A header comes as one value, not as a packet of its own, because who makes it (a deparser, a
    table of encapsulations) has it in one cycle; and a length of 0, which no packet has, is plain.

    A length above ``max_header_bytes``, where its field can hold one, continues the header with
    zero bytes. A packet that is malformed is passed on malformed, and does not hang.

    Latency is that of :class:`Realign`, so 3 or 4 cycles from packet to output; a header is
    wanted one cycle earlier. Throughput is one output beat per cycle, across packets: each
    packet takes as many cycles as it has beats with its header, and no more.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    max_header_bytes : int
        Bytes of the longest header, 1 or more; may exceed ``data_bytes``.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets. ``i.ready`` depends combinationally on ``o.ready``.
    headers : In(stream.Signature(HeaderLayout(max_header_bytes)))
        Headers, one for each packet. ``headers.ready`` depends combinationally on ``o.ready`` and
        ``i.valid``.
    o : Out(PacketSignature(data_bytes))
        Packets with their headers, registered; ``error`` is that of the packet.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two or ``max_header_bytes`` is less than 1.
    """

    i: stream.Interface
    headers: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int, max_header_bytes: int):
        self.data_bytes = data_bytes
        self.max_header_bytes = max_header_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "headers": In(stream.Signature(HeaderLayout(max_header_bytes))),
                "o": Out(PacketSignature(data_bytes)),
            }
        )
        self.realign = Realign(data_bytes=data_bytes, has_base=True)
        # Behind the packet's first beat; where its bytes begin in a beat.
        self.in_packet = Signal()
        self.offset = Signal(range(data_bytes), reset_less=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = self.realign
        wiring.connect(m, realign.o, wiring.flipped(self.o))
        slot = realign.i.p
        beat_bits = 8 * self.data_bytes
        offset_bits = self.data_bytes.bit_length() - 1

        # The header at work: its next bytes are lowest, and zeros follow it.
        header_valid = Signal()
        header = Signal(-(-8 * self.max_header_bytes // beat_bits) * beat_bits, reset_less=True)
        whole_beats = Signal(len(self.headers.p.length[offset_bits:]) or 1, reset_less=True)
        rest = Signal(offset_bits, reset_less=True)

        gives_whole = Signal()
        gives_rest = Signal()
        in_packet, offset = self.in_packet, self.offset
        m.d.comb += [
            gives_whole.eq(~in_packet & header_valid & (whole_beats != 0)),
            gives_rest.eq(~in_packet & header_valid & (whole_beats == 0)),
            self.headers.ready.eq(~header_valid | (gives_rest & self.i.valid & realign.i.ready)),
            self.i.ready.eq(realign.i.ready & (in_packet | gives_rest)),
            realign.i.valid.eq(gives_whole | ((in_packet | gives_rest) & self.i.valid)),
            slot.base.eq(header),
            slot.restart.eq(~in_packet),
            slot.data.eq(self.i.p.data),
            slot.keep.eq(Mux(gives_whole, 0, self.i.p.keep)),
            slot.offset.eq(Mux(gives_whole, self.data_bytes, Mux(in_packet, offset, rest))),
            slot.emit.eq(1),
            slot.last.eq(~gives_whole & self.i.p.last),
            slot.error.eq(self.i.p.error),
        ]

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += in_packet.eq(~self.i.p.last)
            with m.If(~in_packet):
                m.d.sync += offset.eq(rest)
        with m.If(self.headers.ready):
            m.d.sync += [
                header_valid.eq(self.headers.valid),
                header.eq(self.headers.p.data),
                whole_beats.eq(self.headers.p.length[offset_bits:]),
                rest.eq(self.headers.p.length[:offset_bits]),
            ]
        with m.Elif(gives_whole & realign.i.ready):
            m.d.sync += [header.eq(header >> beat_bits), whole_beats.eq(whole_beats - 1)]
        return m
