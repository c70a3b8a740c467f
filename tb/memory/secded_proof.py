"""Proofs of hdl.memory's SECDED code."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.memory import SecdedDecoder, SecdedEncoder
from tb.prove import Proof

__all__ = ["PROOFS"]


class _AnyErrors(wiring.Component):
    """Any word with up to two wrong bits, any: one is corrected, two are detected."""

    data: Signal
    is_wrong: Signal
    place: list[Signal]

    def __init__(self, data_bits: int):
        self.encoder = SecdedEncoder(data_bits=data_bits, latency=1)
        self.decoder = SecdedDecoder(data_bits=data_bits, latency=1)
        self.codeword_bits = data_bits + self.encoder.check_bits
        places = In(range(self.codeword_bits)).array(2)
        super().__init__({"data": In(data_bits), "is_wrong": In(2), "place": places})

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = self.encoder
        m.submodules.decoder = decoder = self.decoder
        data = Signal.like(self.data)
        sent = Signal.like(self.data)
        wrong = Signal(range(3))
        filled = Signal(2)
        # Two wrongs at one place are none; a place beyond the codeword is in no word.
        errors = Signal(self.codeword_bits)
        first, second = (
            (wrong << place)[: self.codeword_bits]
            for wrong, place in zip(self.is_wrong, self.place, strict=True)
        )
        m.d.comb += errors.eq(first ^ second)
        same = self.place[0] == self.place[1]
        counts = [
            wrong & (p < self.codeword_bits)
            for wrong, p in zip(self.is_wrong, self.place, strict=True)
        ]
        count = Mux(counts[0] & counts[1] & same, 0, counts[0] + counts[1])
        m.d.comb += [
            encoder.data.eq(self.data),
            decoder.codeword.eq(encoder.codeword ^ errors),
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
