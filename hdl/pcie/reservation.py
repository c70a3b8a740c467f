"""Credits kept for a TLP that others with smaller needs would pass for ever."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker

__all__ = ["CreditReservation"]


class CreditReservation(wiring.Component):
    """See to it that no head of one class waits for credits for ever.

    While a head lacks credits, others of its class that need fewer may go before it, for
    ``patience`` rows. Then the class's credits are kept for it until it has gone. It counts as
    lacking until it goes, even if credits were there for a while; such heads take turns. So a head
    is passed by less than ``source_count`` * (``patience`` + 2) rows of its class that begin TLPs.

    Nothing but ``blocked`` comes of it, from registers. Kept credits are no use to others: should
    the partner never grant what a TLP needs, its class stands still, as it must.

    Parameters
    ----------
    source_count, patience : int
        Heads; rows that may pass, 1 or more.

    Members
    -------
    waiting, short : In(source_count)
        Heads that may begin a TLP but for credits; those of them that have too few now.
    began, taken : In(1), In(source_count)
        Of the cycle before: a row of the class that begins a TLP was taken; one-hot, its head.
    clear : In(1)
        There are no credits to keep.
    blocked : Out(source_count)
        Heads that must leave the credits alone.
    """

    waiting: Signal
    short: Signal
    began: Signal
    taken: Signal
    clear: Signal
    blocked: Signal

    def __init__(self, *, source_count: int, patience: int):
        self.source_count = source_count
        self.patience = patience
        super().__init__(
            {
                "waiting": In(source_count),
                "short": In(source_count),
                "began": In(1),
                "taken": In(source_count),
                "clear": In(1),
                "blocked": Out(source_count),
            }
        )
        self.lacking = Signal(source_count)
        self.passed = Signal(range(patience + 1))
        self.reserved = Signal(source_count)
        self.is_reserved = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.picker = picker = RoundRobinPicker(request_count=self.source_count)
        m.d.sync += self.lacking.eq(self.waiting & (self.short | (self.lacking & ~self.taken)))
        m.d.comb += [
            picker.requests.eq(self.lacking),
            self.blocked.eq(~self.reserved & self.is_reserved.replicate(self.source_count)),
        ]

        with m.If(self.is_reserved):
            gone = (self.taken & self.reserved).any() | ~(self.waiting & self.reserved).any()
            with m.If(gone):
                m.d.sync += [self.is_reserved.eq(0), self.passed.eq(0)]
        with m.Elif(~self.lacking.any()):
            m.d.sync += self.passed.eq(0)
        with m.Elif(self.passed == self.patience):
            m.d.comb += picker.take.eq(1)
            m.d.sync += [self.is_reserved.eq(1), self.reserved.eq(picker.grant)]
        with m.Elif(self.began):
            m.d.sync += self.passed.eq(self.passed + 1)
        with m.If(self.clear):
            m.d.sync += [self.is_reserved.eq(0), self.passed.eq(0)]
        return m
