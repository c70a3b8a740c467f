"""Proof of hdl.roce.advance: sums are sums."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.advance import add_in_halves, advance
from tb.prove import Proof

__all__ = ["PROOFS"]


class _Sum(wiring.Component):
    """Any place, and any size."""

    place: Signal
    size: Signal

    def __init__(self, place_bits: int, size_bits: int):
        super().__init__({"place": In(place_bits), "size": In(size_bits)})

    def elaborate(self, platform):
        m = Module()
        wanted = (self.place + self.size)[: len(self.place)]
        m.d.comb += Assert(advance(self.place, self.size) == wanted, "a sum")
        return m


class _Halves(wiring.Component):
    """Any two values."""

    left: Signal
    right: Signal

    def __init__(self, bits: int):
        super().__init__({"left": In(bits), "right": In(bits)})

    def elaborate(self, platform):
        m = Module()
        found = add_in_halves(self.left, self.right)
        m.d.comb += Assert(found == self.left + self.right, "a sum")
        return m


PROOFS = [
    Proof(f"roce.advance/{place} + {size} bits", lambda p=place, s=size: _Sum(p, s), 1)
    # Places and lengths of Verdict, rows of JobRing; sizes of more and of less than a third.
    for place, size in ((64, 13), (32, 13), (52, 1), (9, 3), (9, 4), (9, 2))
]
PROOFS += [
    Proof(f"roce.advance/{bits} bits in halves", lambda bits=bits: _Halves(bits), 1)
    for bits in (32, 9)
]
