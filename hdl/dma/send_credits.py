"""Credits of one class of TLPs that an endpoint sends."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.credit_arithmetic import covers
from ..pcie.port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS
from .send_parts import SendPartLayout, SendPieceLayout

__all__ = ["SendCredits"]

#: A row has at most 4 headers, and 3 TLPs of a segment and one of 256 data credits.
_HEADER_BITS = 3
_DATA_BITS = 11


class SendCredits(wiring.Component):
    """Let parts of rows go on when the partner has credits for them, and spend these.

    A part goes whole if there are credits for all TLPs that begin in it, else up to its first eop
    if there are for the first of them. What continues a TLP is paid for. So each TLP goes when the
    partner has credits for all of it, and no credits are kept for what cannot go.

    Latency is 2 cycles. Throughput is 1 part per cycle.

    Specification: PCI Express Base Specification, 2.6.1, flow control rules (transmitter).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.

    Members
    -------
    i : In(stream.Signature(SendPartLayout(segment_count)))
        Parts of rows of one class, in order. ``i.ready`` depends combinationally on ``o.ready``.
    headers, data : In(13), In(17)
        Credits available, of :class:`CreditGate`: what is on ``spend`` lowers them in the next
        cycle.
    spend_headers, spend_data : Out(3), Out(11)
        Credits that are spent, registered.
    cut : In(1)
        Go up to the first eop only.
    clear : In(1)
        Forget everything.
    o : Out(stream.Signature(SendPieceLayout(segment_count)))
        What may be sent, registered.
    """

    i: stream.Interface
    headers: Signal
    data: Signal
    spend_headers: Signal
    spend_data: Signal
    cut: Signal
    clear: Signal
    o: stream.Interface

    def __init__(self, *, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(stream.Signature(SendPartLayout(segment_count))),
                "headers": In(HEADER_CREDIT_BITS + 1),
                "data": In(DATA_CREDIT_BITS + 1),
                "spend_headers": Out(_HEADER_BITS),
                "spend_data": Out(_DATA_BITS),
                "cut": In(1),
                "clear": In(1),
                "o": Out(stream.Signature(SendPieceLayout(segment_count))),
            }
        )

        # State, kept here for the proofs: the part that waits, what of it is left, what that needs.
        self.held = Signal(SendPartLayout(segment_count), reset_less=True)
        self.left = Signal(segment_count, reset_less=True)
        self.needs = Signal(
            data.StructLayout(
                {
                    "first": segment_count,
                    "first_begins": 1,
                    "first_cost": 9,
                    "headers": _HEADER_BITS,
                    "cost": _DATA_BITS,
                    "eop_behind": 1,
                }
            ),
            reset_less=True,
        )

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count

        # The part that waits, and what it asks for: added up for the next one, and for what is
        # left behind the first eop, before it is known which of these is needed.
        held_valid = Signal()
        held, left, needs = self.held, self.left, self.needs
        rest = Signal(count)
        m.d.comb += rest.eq(left & ~needs.first)

        first_covered = Signal()
        all_covered = Signal()
        whole = Signal()
        moves = Signal()
        m.d.comb += [
            first_covered.eq(
                covers(self.headers, self.spend_headers, needs.first_begins)
                & covers(self.data, self.spend_data, needs.first_cost)
            ),
            all_covered.eq(
                covers(self.headers, self.spend_headers, needs.headers)
                & covers(self.data, self.spend_data, needs.cost)
            ),
            whole.eq(~rest.any() | (all_covered & ~self.cut) if count > 1 else 1),
            moves.eq(held_valid & (self.o.ready | ~self.o.valid) & first_covered),
        ]

        m.d.comb += self.i.ready.eq(~held_valid | (moves & whole))
        with m.If(self.i.ready):
            valid = Cat(self.i.p.lanes[n].valid for n in range(count))
            m.d.sync += [
                held_valid.eq(self.i.valid),
                held.eq(self.i.p),
                left.eq(valid),
                *self._needs(needs, self.i.p.lanes, valid),
            ]
        if count > 1:
            with m.Elif(moves):
                m.d.sync += [left.eq(rest), *self._needs(needs, held.lanes, rest)]

        piece = Signal(SendPieceLayout(count), reset_less=True)
        goes = Signal(count)
        eops = Cat(held.lanes[n].eop for n in range(count))
        m.d.comb += [
            self.o.payload.eq(piece),
            goes.eq(Mux(whole, left, needs.first)),
        ]
        m.d.sync += [self.spend_headers.eq(0), self.spend_data.eq(0)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(moves),
                piece.valid.eq(goes),
                piece.some.eq(goes.any()),
                piece.within.eq(goes[-1] & ~eops[-1]),
                piece.ends.eq((goes & eops).any() & (whole | ~needs.eop_behind)),
                piece.last.eq(whole & held.last),
            ]
        with m.If(moves):
            m.d.sync += [
                self.spend_headers.eq(Mux(whole, needs.headers, needs.first_begins)),
                self.spend_data.eq(Mux(whole, needs.cost, needs.first_cost)),
            ]
        with m.If(self.clear):
            m.d.sync += [
                held_valid.eq(0),
                self.o.valid.eq(0),
                self.spend_headers.eq(0),
                self.spend_data.eq(0),
            ]
        return m

    def _needs(self, needs: Any, lanes: Any, valid: Value) -> list[Any]:
        """Add up what the ``valid`` ones of ``lanes`` ask for."""
        every = range(self.segment_count)
        eops = [valid[n] & lanes[n].eop for n in every]
        first = [valid[n] & ~Cat(eops[:n]).any() for n in every]
        leads = [valid[n] & ~valid[:n].any() for n in every]
        begins = [valid[n] & lanes[n].sop for n in every]
        first_cost = Const(0, 9)
        cost = Const(0, 9)
        headers = Const(0, 1)
        for n in every:
            first_cost = first_cost | (lanes[n].cost & (leads[n] & begins[n]).replicate(9))
            cost = cost + (lanes[n].cost & begins[n].replicate(9))
            headers = headers + begins[n]
        return [
            needs.first.eq(Cat(first)),
            needs.first_begins.eq(Cat(leads[n] & lanes[n].sop for n in every).any()),
            needs.first_cost.eq(first_cost),
            needs.headers.eq(headers),
            needs.cost.eq(cost),
            needs.eop_behind.eq(Cat(eops[n] & ~first[n] for n in every).any()),
        ]
