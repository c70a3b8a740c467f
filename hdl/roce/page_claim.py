"""Pages of memory that somebody wants for himself while others write."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CLAIM_BITS", "PAGE_SHIFT", "ClaimLayout", "PageClaim"]

PAGE_SHIFT = 12  # of a claim: 4 KiB
#: Bits of a page's number that are compared with the claimed one: of writes elsewhere, 2 of 4096
#: wait for nothing, and the adder is short.
CLAIM_BITS = 12


class ClaimLayout(data.StructLayout):
    """While ``valid``, whoever holds it wants the 4 KiB ``page`` of ``space`` for itself."""

    def __init__(self):
        super().__init__({"valid": 1, "space": 2, "page": 64 - PAGE_SHIFT})


class PageClaim(wiring.Component):
    """Grant a claim when all that was begun before it has its response.

    Responses come in the order in which writes begin, so it is enough to count: those without a
    response when the claim comes, and then responses. What begins in the cycle in which the claim
    comes is waited for too: whoever keeps writes off the page may notice the claim a cycle late.
    A claim that is given up leaves nothing behind.

    Latency is 3 cycles from a claim to ``claimed`` if nothing is waited for, 2 from the response
    that was. Throughput is a write and a response per cycle.

    Specification: this docstring.

    Parameters
    ----------
    most : int
        Writes that may be without their response.

    Members
    -------
    claim : In(ClaimLayout())
        Stays as it is until ``claimed``; between two claims it is not valid for 1 cycle at least.
    begins, ends : In(1)
        Strobes: a write begins; a response has come.
    claimed : Out(1)
        The claim is granted; means something while ``claim.valid``. Registered.
    """

    claim: Any
    begins: Signal
    ends: Signal
    claimed: Signal

    def __init__(self, *, most: int):
        self.most = most
        super().__init__(
            {"claim": In(ClaimLayout()), "begins": In(1), "ends": In(1), "claimed": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        waiting = Signal(range(self.most + 1))
        before = Signal.like(waiting, reset_less=True)  # of these, who began before the claim
        is_known = Signal()
        counts = Signal()
        m.d.sync += [
            waiting.eq(waiting + self.begins - self.ends),
            before.eq(Mux(counts, before, waiting) - self.ends),
            is_known.eq(self.claim.valid),
            counts.eq(self.claim.valid & is_known),
            self.claimed.eq(
                self.claim.valid & is_known & (self.claimed | (counts & (before == 0)))
            ),
        ]
        return m
