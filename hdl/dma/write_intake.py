"""Intake of one client's writes: cuts them at pages and tells where a packet ends."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature
from .memory_port import MemoryRequestLayout
from .write_parts import ATTRIBUTES, PAGE_BITS, PAGE_NUMBER_BITS, WriteRowLayout, store_rows_of

__all__ = ["WriteIntake"]


class WriteIntake(wiring.Component):
    """Take the requests and packets of one client, a row and a piece a cycle.

    The row in which a page of 4 KB ends, or the packet, makes a piece whole. A row in which both
    happen is offered twice, once for each piece. The packet ends with its ``last``, or where
    the request does; what it has beyond is dropped here, without taking anybody's time.

    A request is taken only if there is room for its response, and a row only if there is room in
    the store: a client that does not go on holds up itself alone.

    Latency is 1 cycle from ``request`` to ``o`` and none from ``data``. Throughput is 1 row, or
    1 request, per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.
    response_count : int
        Requests that may be without their response taken; a power of two.

    Members
    -------
    request : In(stream.Signature(MemoryRequestLayout()))
        Requests; ``ready`` depends combinationally on ``data`` and ``o.ready``.
    data : In(PacketSignature(row_bytes))
        Packets; ``ready`` depends combinationally on ``o.ready``.
    o : Out(stream.Signature(WriteRowLayout(client_count, row_bytes)))
        Rows and pieces. Not registered: what is chosen of it, is. ``valid`` may fall as room does.
    freed : In(range(2 * store_rows))
        The client's rows before this one are free.
    answered : In(1)
        Strobe: a response was taken.
    """

    request: stream.Interface
    data: stream.Interface
    o: stream.Interface
    freed: Signal
    answered: Signal

    def __init__(self, *, client_count: int, row_bytes: int, response_count: int):
        self.row_bytes = row_bytes
        self.response_count = response_count
        self.store_rows = store_rows_of(row_bytes)
        super().__init__(
            {
                "request": In(stream.Signature(MemoryRequestLayout())),
                "data": In(PacketSignature(row_bytes)),
                "o": Out(stream.Signature(WriteRowLayout(client_count, row_bytes))),
                "freed": In(range(2 * self.store_rows)),
                "answered": In(1),
            }
        )

        # The whole state, which proofs look at. Of the request: what is left of it, counted in
        # rows, and what of its page. Where in a row request and page end does not change with rows.
        low = (row_bytes - 1).bit_length()
        self.busy = Signal()
        self.active = Signal()  # busy and not dropping
        self.has_room = Signal(init=1)
        self.takes_rows = Signal()  # active, not empty, with room
        self.is_empty = Signal(reset_less=True)
        self.rows_left = Signal(16 - low, reset_less=True)
        self.page_rows_left = Signal(PAGE_BITS - low, reset_less=True)
        self.is_final = Signal(reset_less=True)  # none is left, of the request
        self.is_page_final = Signal(reset_less=True)
        self.is_cut = Signal()  # the page in this row has been offered
        self.dropping = Signal()
        self.row = Signal(range(2 * self.store_rows))
        self.open_count = Signal(range(response_count + 1))
        self.first = Signal(PAGE_BITS, reset_less=True)
        self.end = Signal(PAGE_BITS, reset_less=True)  # of the last byte in its page
        self.turned = Signal(low, reset_less=True)
        self.most = Signal(low, reset_less=True)
        self.both = Signal(reset_less=True)  # a page and the request end in the same, last row
        self.is_split = Signal(reset_less=True)  # it is this row, offered for its page
        self.resumes = Signal(reset_less=True)

    def elaborate(self, platform):
        m = Module()
        low = (self.row_bytes - 1).bit_length()
        asked = self.request.p
        piece = self.o.p.piece
        page = Signal(64 - PAGE_BITS, reset_less=True)
        page_number = Signal(PAGE_NUMBER_BITS, reset_less=True)
        tag = Signal.like(asked.tag, reset_less=True)
        attributes = {
            name: Signal.like(asked[name], name=name, reset_less=True) for name in ATTRIBUTES
        }

        final = self.is_final
        page_ends = Signal()
        ends = Signal()
        m.d.comb += [
            page_ends.eq(~self.is_empty & ~self.is_cut & self.is_page_final),
            # Last piece; if the page ends here without the request, the packet is too short.
            ends.eq(Mux(final, ~self.is_split, ~page_ends | self.data.p.last) | self.is_empty),
            self.o.valid.eq(self.active & (self.is_empty | (self.data.valid & self.has_room))),
            self.o.p.data.eq(self.data.p.data),
            self.o.p.keep.eq(self.data.p.keep),
            self.o.p.last.eq(self.data.p.last),
            self.o.p.error.eq(self.data.p.error),
            self.o.p.has_row.eq(~self.is_empty),
            self.o.p.row.eq(self.row),
            self.o.p.final.eq(final),
            self.o.p.most.eq(self.most),
            self.o.p.is_piece.eq(self.is_empty | page_ends | final | self.data.p.last),
            piece.page.eq(page),
            piece.page_number.eq(page_number),
            piece.first.eq(self.first),
            piece.last.eq(Mux(ends, self.end, ~C(0, PAGE_BITS))),
            piece.shift.eq(Mux(self.resumes, self.turned, self.turned[:2])),
            piece.prime.eq(self.resumes & self.turned.any()),
            piece.end.eq(ends),
            piece.tag.eq(tag),
            *(piece[name].eq(value) for name, value in attributes.items()),
        ]
        after = Signal.like(self.row)
        m.d.comb += [
            after.eq(self.row + 1),
            # A row that has bytes of the next page as well is kept.
            piece.free_to.eq(Mux(self.is_empty | (~ends & self.turned.any()), self.row, after)),
        ]

        taken = Signal()
        row_taken = Signal()
        finishes = Signal()
        m.d.comb += [
            taken.eq(self.o.valid & self.o.ready),
            row_taken.eq(taken & ~self.is_empty & ~self.is_split),
            finishes.eq(taken & (self.is_empty | (~self.is_split & (final | self.data.p.last)))),
            # Without `valid`, which says nothing here and comes late to all bytes of a beat.
            self.data.ready.eq((self.takes_rows & ~self.is_split & self.o.ready) | self.dropping),
        ]
        with m.If(row_taken):
            m.d.sync += [
                self.row.eq(after),
                self.rows_left.eq(self.rows_left - 1),
                self.page_rows_left.eq(self.page_rows_left - 1),
                self.is_final.eq(self.rows_left == 1),
                self.is_page_final.eq(self.page_rows_left == 1),
                self.is_split.eq((self.rows_left == 1) & (self.page_rows_left == 1) & self.both),
            ]
        with m.If(taken & page_ends):
            m.d.sync += [page_number.eq(page_number + 1), self.first.eq(0), self.resumes.eq(1)]
            m.d.sync += [self.is_cut.eq(self.is_split), self.is_split.eq(0)]
        will_drop = Signal()
        with m.If(self.dropping):
            m.d.comb += will_drop.eq(~(self.data.valid & self.data.p.last))
        with m.Else():
            m.d.comb += will_drop.eq(finishes & ~self.is_empty & ~self.data.p.last)
        m.d.sync += self.dropping.eq(will_drop)

        # Rows taken in this and the last cycle are not yet counted: two less than there are.
        used = Signal.like(self.row)
        has_room = Signal()
        m.d.comb += [
            used.eq(self.row - self.freed),
            has_room.eq(~(used[-1] | used[1:-1].all())),
        ]
        m.d.sync += self.has_room.eq(has_room)

        length_1 = Signal(16)
        final_from_first = Signal()
        page_final_from_first = Signal()
        both = Signal()
        loads = Signal()
        m.d.comb += [
            length_1.eq(asked.length - 1),
            final_from_first.eq(~length_1[low:].any()),
            page_final_from_first.eq(asked.address[low:PAGE_BITS].all()),
            both.eq(~asked.address[:low] < length_1[:low]),
            self.request.ready.eq((finishes | ~self.busy) & ~self.open_count[-1]),
            loads.eq(self.request.valid & self.request.ready),
        ]
        m.d.sync += self.open_count.eq(self.open_count + loads - self.answered)
        will_be_busy = Signal()
        m.d.comb += will_be_busy.eq(loads | (self.busy & ~finishes))
        will_be_empty = Mux(finishes | ~self.busy, asked.length == 0, self.is_empty)
        m.d.sync += [
            self.busy.eq(will_be_busy),
            self.active.eq(will_be_busy & ~will_drop),
            self.takes_rows.eq(will_be_busy & ~will_drop & ~will_be_empty & has_room),
        ]
        # Without a request they are not looked at.
        with m.If(finishes | ~self.busy):
            m.d.sync += [
                self.is_empty.eq(asked.length == 0),
                self.rows_left.eq(length_1[low:]),
                self.page_rows_left.eq(~asked.address[low:PAGE_BITS]),
                self.is_final.eq(final_from_first),
                self.is_page_final.eq(page_final_from_first),
                self.is_split.eq(final_from_first & page_final_from_first & both),
                self.is_cut.eq(0),
                page.eq(asked.address[PAGE_BITS:]),
                page_number.eq(0),
                self.first.eq(asked.address[:PAGE_BITS]),
                self.end.eq(asked.address[:PAGE_BITS] + length_1),
                self.turned.eq(asked.address[:low]),
                self.most.eq(length_1[:low]),
                self.both.eq(both),
                self.resumes.eq(0),
                tag.eq(asked.tag),
                *(value.eq(asked[name]) for name, value in attributes.items()),
            ]
        return m
