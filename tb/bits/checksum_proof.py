"""Proofs of hdl.bits.InternetChecksum."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.bits import BeatLayout, InternetChecksum, StrobeInterface, StrobeSignature
from tb.prove import Proof

from .beats_rules import assume_beats, check_values

__all__ = ["PROOFS"]


class _PlainArithmetic(wiring.Component):
    """A checksum beside a sum that is wide enough and folded at the end only."""

    i: StrobeInterface

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__({"i": In(StrobeSignature(BeatLayout(data_bytes)))})

    def elaborate(self, platform):
        m = Module()
        beat = self.i.payload
        m.submodules.checksum = checksum = InternetChecksum(data_bytes=self.data_bytes)
        m.d.comb += [checksum.i.payload.eq(beat), checksum.i.valid.eq(self.i.valid)]
        assume_beats(m, self.i, self.data_bytes)

        # Up to 256 words: more than there are cycles.
        held = Signal(24)
        second = Signal()
        added: Value = C(0, 24)
        for number in range(self.data_bytes):
            byte = Mux(beat.keep[number], beat.data.word_select(number, 8), 0)
            high = ~second if self.data_bytes == 1 else C(number % 2 == 0, 1)
            added = (added + Mux(high, byte << 8, byte))[:24]
        total = Signal(24)
        m.d.comb += total.eq(held + added)
        with m.If(self.i.valid):
            m.d.sync += [
                held.eq(Mux(beat.last, 0, total)),
                second.eq(~second & ~beat.last),
            ]

        once = (total[:16] + total[16:])[:17]
        twice = (once[:16] + once[16])[:16]
        check_values(m, checksum.o, checksum.latency, self.i.valid & beat.last, ~twice)
        return m


PROOFS = [
    Proof("bits.InternetChecksum/arithmetic at 1 B", lambda: _PlainArithmetic(1), 8, "bmc"),
    Proof("bits.InternetChecksum/arithmetic at 2 B", lambda: _PlainArithmetic(2), 7, "bmc"),
    Proof("bits.InternetChecksum/a value leaves", lambda: _PlainArithmetic(4), 11, "cover"),
]
