"""Proof of hdl.roce.Timers: what a timeout is, as differences of times have it."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.timers import TIME_BITS, is_over, timeout_bits
from tb.prove import Proof

__all__ = ["PROOFS"]


class _Length(wiring.Component):
    """Any two times, of which the first is in the past, or not, and any code."""

    since: Signal
    now: Signal
    code: Signal

    def __init__(self):
        super().__init__({"since": In(TIME_BITS), "now": In(TIME_BITS), "code": In(5)})

    def elaborate(self, platform):
        m = Module()
        elapsed = Signal(TIME_BITS)
        limit = Signal(TIME_BITS)
        m.d.comb += [elapsed.eq(self.now - self.since), limit.eq(C(4, TIME_BITS) << self.code)]
        # Half of all times are ahead: there it is never over.
        is_past = elapsed < 1 << (TIME_BITS - 1)
        expected = is_past & (self.code != 0) & (elapsed >= limit)
        over = is_over(elapsed, timeout_bits(m, self.code))
        with m.If(~ResetSignal()):
            m.d.comb += Assert(over == expected, "4 ticks * 2 ** code, or more")
        return m


PROOFS = [Proof("roce.Timers/a timeout is 4 ticks * 2 ** code", _Length, 1)]
