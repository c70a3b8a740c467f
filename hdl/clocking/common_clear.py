"""Clear both sides of a clock domain crossing when either is reset."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

__all__ = ["CommonClear"]


class CommonClear(wiring.Component):
    """Tell both sides of a crossing to clear their state when either side's reset was active.

    A reset of one cycle is enough, whatever the other clock's frequency: the side that was reset
    clears until the other has answered that it clears, too, and has seen the end of the request.
    So the state of each side is at rest for more than a synchronizer's delay before the other
    side leaves its clear. While a clock stands, its partner stays in clear from the next reset on.

    After a reset of one side, that side clears at once, in the cycle after the reset's first
    edge, and the other after 2 to 3 of its cycles. Both have left the clear after at most 12
    cycles of the slower clock from the end of the reset.

    Specification: this docstring.

    Parameters
    ----------
    i_domain, o_domain : str
        Clock domains of the two sides; the block treats them alike.

    Members
    -------
    i_clear : Out(1)
        In ``i_domain``: clear the state of that side. Combinational, of three registers.
    o_clear : Out(1)
        In ``o_domain``, likewise.

    Raises
    ------
    ValueError
        If the domains are the same.
    """

    i_clear: Signal
    o_clear: Signal

    def __init__(self, *, i_domain: str, o_domain: str):
        if i_domain == o_domain:
            raise ValueError(f"i_domain and o_domain must differ, not both be {i_domain!r}")
        self.i_domain = i_domain
        self.o_domain = o_domain
        super().__init__({"i_clear": Out(1), "o_clear": Out(1)})

    def elaborate(self, platform):
        m = Module()
        sides = {"i": (self.i_domain, self.i_clear), "o": (self.o_domain, self.o_clear)}
        request = {side: Signal(init=1, name=f"{side}_request") for side in sides}
        answer = {side: Signal(name=f"{side}_answer") for side in sides}

        for side, other in (("i", "o"), ("o", "i")):
            domain, clear = sides[side]
            requested = Signal(init=1, name=f"{side}_requested")
            answered = Signal(name=f"{side}_answered")
            # An answer outlives a reset of its own side: it says only what this side has seen.
            m.submodules[f"{side}_requested"] = FFSynchronizer(
                request[other], requested, o_domain=domain, init=1
            )
            m.submodules[f"{side}_answered"] = FFSynchronizer(
                answer[other], answered, o_domain=domain
            )
            m.d[domain] += answer[side].eq(requested)
            with m.If(answered):
                m.d[domain] += request[side].eq(0)
            m.d.comb += clear.eq(request[side] | requested | answered)

        return m
