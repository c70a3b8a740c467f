"""Pieces of packets, as packets of their own."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketSignature
from .realign import Realign

__all__ = ["PacketCut", "PieceLayout"]

#: Bits of a piece's place and size: packets of up to 8 KiB, which is more than an MTU of 4096.
_PIECE_BITS = 13


class PieceLayout(data.StructLayout):
    """Bytes of a packet that leave as a packet: ``take`` of them behind the first ``skip``.

    Fields
    ------
    skip, take : 13 bits
        With ``take`` 0, nothing leaves.
    last : 1 bit
        What is behind it is dropped.
    """

    def __init__(self):
        super().__init__({"skip": _PIECE_BITS, "take": _PIECE_BITS, "last": 1})


class PacketCut(wiring.Component):
    """Cut pieces out of packets.

    For each packet of ``i`` there is a list of ``pieces``, the last of them marked. Each piece that
    takes bytes leaves as a packet, its first byte in lane 0; what is in no piece is dropped. Pieces
    of a packet come in ascending order and do not overlap; else the bytes that leave are undefined,
    but not how many packets.

    A packet that ends within a piece or before it gives that piece all the same, with ``error`` and
    with those of its bytes that are there, or with one undefined byte if there is none. A piece
    that ends in the last beat of its packet has that packet's ``error``.

    Latency is one cycle more than that of :class:`Realign`, so 4 or 5 cycles from a piece's first
    beat to its first output beat if the next one follows at once, and its piece came 2 cycles
    before it.
    Throughput is one input beat per cycle, across packets: a packet of one piece takes as many
    cycles as it has beats, and each further piece takes one more at most; none if the piece
    before ends with a beat.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets. ``i.ready`` depends combinationally on ``o.ready`` and on ``i.payload``.
    pieces : In(stream.Signature(PieceLayout()))
        Pieces. ``pieces.ready`` depends combinationally on all that ``i.ready`` depends on, and
        on ``i.valid``.
    o : Out(PacketSignature(data_bytes))
        One packet for each piece that takes bytes, registered.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two.
    """

    i: stream.Interface
    pieces: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "pieces": In(stream.Signature(PieceLayout())),
                "o": Out(PacketSignature(data_bytes)),
            }
        )
        self.realign = Realign(data_bytes=data_bytes, has_base=False)

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = self.realign
        wiring.connect(m, realign.o, wiring.flipped(self.o))
        slot = realign.i.p
        lane_bits = self.data_bytes.bit_length() - 1
        beat_bits = _PIECE_BITS + 1 - lane_bits
        lanes = range(self.data_bytes)

        # The next piece, as it came.
        next_valid = Signal()
        next_piece: Any = Signal(PieceLayout(), reset_less=True)
        next_moves = Signal()
        m.d.comb += self.pieces.ready.eq(next_moves | ~next_valid)
        with m.If(self.pieces.ready):
            m.d.sync += [next_valid.eq(self.pieces.valid), next_piece.eq(self.pieces.p)]

        # The piece at work, by its first and its last byte.
        piece_valid = Signal()
        is_empty = Signal()
        is_last = Signal(reset_less=True)
        drops = Signal(reset_less=True)
        first = Signal(_PIECE_BITS + 1, reset_less=True)
        final = Signal(_PIECE_BITS + 1, reset_less=True)
        used = Signal()
        m.d.comb += [
            next_moves.eq(used | ~piece_valid),
            is_empty.eq(next_piece.take == 0),
        ]
        with m.If(next_moves):
            m.d.sync += [
                piece_valid.eq(next_valid & (next_piece.last | ~is_empty)),
                is_last.eq(next_piece.last),
                drops.eq(is_empty),
                first.eq(next_piece.skip),
                final.eq(next_piece.skip + next_piece.take - 1),
            ]

        beat_number = Signal(beat_bits)
        within = Signal()  # the piece began in an earlier beat
        dropping = Signal()  # the packet's last piece is behind us
        begins_at = Signal(self.data_bytes)
        here = Signal()
        ends = Signal()
        finishes = Signal()
        covered = Signal()
        m.d.comb += [
            begins_at.eq(Cat(first[:lane_bits] == n for n in lanes)),
            here.eq(within | (beat_number == first[lane_bits:])),
            ends.eq(here & (beat_number == final[lane_bits:])),
            finishes.eq(ends | self.i.p.last),
            covered.eq(Cat((final[:lane_bits] == n) & self.i.p.keep[n] for n in lanes).any()),
        ]

        cuts = Signal()
        holds = Signal()
        m.d.comb += [
            cuts.eq(piece_valid & ~dropping & ~drops & (here | self.i.p.last)),
            realign.i.valid.eq(self.i.valid & cuts),
            slot.data.eq(self.i.p.data),
            # Its first byte is there, or one stands in for it: no piece is left without a beat.
            slot.keep.eq(
                (
                    self.i.p.keep
                    & here.replicate(self.data_bytes)
                    & Cat(~ends | (final[:lane_bits] >= n) for n in lanes)
                )
                | (begins_at & (~within).replicate(self.data_bytes))
            ),
            slot.offset.eq(self.data_bytes - first[:lane_bits]),
            slot.emit.eq(within),
            slot.last.eq(finishes),
            slot.error.eq(self.i.p.last & (self.i.p.error | ~ends | ~covered)),
            # The next piece may begin in this beat, or meets the packet's end in it.
            holds.eq(~is_last & finishes & (self.i.p.last | ~final[:lane_bits].all())),
            self.i.ready.eq(
                dropping | (piece_valid & (~cuts | (realign.i.ready & ~holds))),
            ),
            used.eq(
                self.i.valid
                & piece_valid
                & ~dropping
                & (drops | (cuts & realign.i.ready & finishes))
            ),
        ]

        with m.If(self.i.valid & cuts & realign.i.ready):
            m.d.sync += within.eq(~finishes)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                beat_number.eq(Mux(self.i.p.last, 0, beat_number + 1)),
                dropping.eq(~self.i.p.last & (dropping | (used & is_last))),
            ]
        return m
