"""Proofs of hdl.memory's SECDED code."""

from functools import reduce

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.memory import SecdedDecoder, SecdedEncoder
from tb.prove import Proof

__all__ = ["PROOFS"]


class _AnyErrors(wiring.Component):
    """Any word, any wrong bits: at most one is corrected, two are detected."""

    data: Signal
    errors: Signal

    def __init__(self, data_bits: int):
        self.encoder = SecdedEncoder(data_bits=data_bits, latency=1)
        self.decoder = SecdedDecoder(data_bits=data_bits, latency=1)
        super().__init__({"data": In(data_bits), "errors": In(data_bits + self.encoder.check_bits)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = self.encoder
        m.submodules.decoder = decoder = self.decoder
        data = Signal.like(self.data)
        sent = Signal.like(self.data)
        wrong = Signal(range(4))
        filled = Signal(2)
        # How many are wrong, of which more than three are three.
        count = reduce(lambda total, bit: Mux(total == 3, 3, total + bit), self.errors, C(0, 2))
        m.d.comb += [
            encoder.data.eq(self.data),
            decoder.codeword.eq(encoder.codeword ^ self.errors),
        ]
        m.d.sync += [
            data.eq(self.data),
            sent.eq(data),
            wrong.eq(count),
            filled.eq(Cat(1, filled)),
        ]
        with m.If(filled[1] & ~ResetSignal()):
            with m.If(wrong <= 1):
                m.d.comb += [
                    Assert(decoder.data == sent, "not the word that was sent"),
                    Assert(decoder.corrected == (wrong == 1), "a wrong bit not reported"),
                    Assert(~decoder.uncorrectable, "called uncorrectable"),
                ]
            with m.If(wrong == 2):
                m.d.comb += [
                    Assert(decoder.uncorrectable, "two wrong bits not detected"),
                    Assert(~decoder.corrected, "two wrong bits taken for one"),
                ]
        return m


PROOFS = [
    Proof(
        "memory.SecdedDecoder/corrects one wrong bit and detects two",
        lambda: _AnyErrors(8),
        depth=3,
    ),
]
