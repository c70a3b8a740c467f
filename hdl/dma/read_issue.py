"""Reads over PCI Express: a piece and a tag become the header of a memory read."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import TlpHeaderLayout, TlpType
from .limits import check_client_count, check_segment_count, check_tag_count
from .parts import IssuedLayout, ReadPieceLayout, row_bytes_of

__all__ = ["ReadIssue"]


class ReadIssue(wiring.Component):
    """Give each piece of a read its tag, tell of it, and send it, or not.

    The header has 3 DW below 4 GiB and 4 DW above. A piece of no bytes reads 1 DW with all byte
    enables 0. While ``discard`` is set, pieces are told of but not sent; while neither it nor
    ``send`` is, they wait.

    Latency is 1 cycle. Throughput is 1 piece per cycle.

    Specification: PCI Express Base Specification, 2.2.4.1 (3 DW headers below 4 GB), 2.2.5 (byte
    enables, zero-length read), 2.2.6.2 (tag), 2.2.6.3 (attributes), 2.2.7 (memory requests), and
    this docstring.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    segment_count : int
        Segments of a beat of TLPs, 1, 2 or 4.
    tag_count : int
        Tags; even, 4 to 1024.

    Members
    -------
    pieces : In(stream.Signature(ReadPieceLayout(client_count, row_bytes)))
        Pieces. ``ready`` depends combinationally on all inputs but ``requester``.
    tags : In(stream.Signature(range(tag_count)))
        A tag for each; ``ready`` as that of ``pieces``.
    requester : In(16)
        Requester ID.
    send, discard : In(1) each
        What becomes of pieces; not both.
    o : Out(stream.Signature(TlpHeaderLayout()))
        Memory reads, registered.
    issued : Out(IssuedLayout(client_count, row_bytes, tag_count))
        Strobe: in the cycle in which the header comes to be offered. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    pieces: stream.Interface
    tags: stream.Interface
    requester: Signal
    send: Signal
    discard: Signal
    o: stream.Interface
    issued: data.View

    def __init__(self, *, client_count: int, segment_count: int, tag_count: int):
        check_client_count(client_count)
        check_segment_count(segment_count)
        check_tag_count(tag_count)
        row_bytes = row_bytes_of(segment_count)
        self._piece = ReadPieceLayout(client_count, row_bytes)
        self.tag_count = tag_count
        super().__init__(
            {
                "pieces": In(stream.Signature(self._piece)),
                "tags": In(stream.Signature(range(tag_count))),
                "requester": In(16),
                "send": In(1),
                "discard": In(1),
                "o": Out(stream.Signature(TlpHeaderLayout())),
                "issued": Out(IssuedLayout(client_count, row_bytes, tag_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        free = Signal()
        goes = Signal()
        m.d.comb += [
            free.eq(self.o.ready | ~self.o.valid),
            goes.eq(self.pieces.valid & self.tags.valid & (self.discard | (self.send & free))),
            self.pieces.ready.eq(goes),
            self.tags.ready.eq(goes),
        ]

        issued = Signal()
        tag = Signal(range(self.tag_count), reset_less=True)
        piece = Signal(self._piece, reset_less=True)
        m.d.sync += [
            issued.eq(goes),
            tag.eq(self.tags.payload),
            piece.eq(self.pieces.payload),
        ]
        m.d.comb += [self.issued.valid.eq(issued), self.issued.tag.eq(tag)]
        m.d.comb += self.issued.piece.eq(piece)

        header = Signal(TlpHeaderLayout(), reset_less=True)
        following = self._header(m)
        m.d.comb += self.o.payload.eq(header)
        with m.If(free):
            m.d.sync += [self.o.valid.eq(goes & self.send), header.eq(following)]
        return m

    def _header(self, m: Module) -> data.View:
        """Make the header of the piece that is offered, with the tag that is offered."""
        piece = self.pieces.p
        begin = Signal(2)
        end = Signal(2)
        dwords = Signal(11)
        is_one = Signal()
        first = Signal(4)
        last = Signal(4)
        m.d.comb += [
            begin.eq(piece.address),
            end.eq(piece.address[:2] + piece.length[:2] - 1),
            dwords.eq((begin + piece.length + 3) >> 2),
            is_one.eq(begin + piece.length <= 4),
            first.eq(C(0b1111, 4) << begin),
            last.eq(C(0b1111, 4) >> ~end),
        ]

        header = Signal(TlpHeaderLayout(), name="next_header")
        memory = header.specific.memory
        is_empty = piece.length == 0
        m.d.comb += [
            header.four_dwords.eq(piece.address[32:].any()),
            header.type.eq(TlpType.MEMORY),
            header.attributes.no_snoop.eq(piece.no_snoop),
            header.attributes.relaxed_ordering.eq(piece.relaxed_ordering),
            header.attributes.id_ordering.eq(piece.id_ordering),
            header.length.eq(Mux(is_empty, 1, dwords)),
            header.tag.eq(self.tags.payload),
            header.requester.eq(self.requester),
            memory.address.eq(Cat(C(0, 2), piece.address[2:])),
            memory.last_be.eq(Mux(is_one, 0, last)),
        ]
        with m.If(is_empty):
            m.d.comb += memory.first_be.eq(0)
        with m.Elif(is_one):
            m.d.comb += memory.first_be.eq(first & last)
        with m.Else():
            m.d.comb += memory.first_be.eq(first)
        return header
