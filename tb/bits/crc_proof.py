"""Proofs of hdl.bits.Crc."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.bits import BeatLayout, Crc, CrcParameters, StrobeInterface, StrobeSignature
from tb.prove import Proof

from .beats_rules import assume_beats, check_values, delayed

__all__ = ["PROOFS"]


class _BitSerial(wiring.Component):
    """A Crc beside a register that takes one bit after another, as the algorithm is defined."""

    i: StrobeInterface

    def __init__(self, algorithm: CrcParameters, data_bytes: int):
        self.algorithm = algorithm
        self.data_bytes = data_bytes
        super().__init__({"i": In(StrobeSignature(BeatLayout(data_bytes)))})

    def elaborate(self, platform):
        m = Module()
        algorithm, beat = self.algorithm, self.i.payload
        m.submodules.crc = crc = Crc(algorithm=algorithm, data_bytes=self.data_bytes)
        m.d.comb += [crc.i.payload.eq(beat), crc.i.valid.eq(self.i.valid)]
        assume_beats(m, self.i, self.data_bytes)

        # One byte after another; those that are not kept count as zeros in `padded`, which is what
        # the loop holds, and not at all in `register`, which is what the packet's CRC is made of.
        first = Signal(init=1)
        held = Signal(algorithm.width, reset_less=True)
        register = padded = Mux(first, algorithm.init, held)
        for number in range(self.data_bytes):
            byte = beat.data.word_select(number, 8)
            padded = self.shift(m, f"byte_{number}", padded, Mux(beat.keep[number], byte, 0))
            register = Mux(beat.keep[number], padded, register)
        with m.If(self.i.valid):
            m.d.sync += [held.eq(padded), first.eq(beat.last)]

        loop_latency = 2 + len(crc.plan.message)
        reference = delayed(m, "held", held, loop_latency - 1)
        with m.If(~ResetSignal()):
            m.d.comb += Assert(crc.in_packet == ~first, "both agree on where packets begin")
            m.d.comb += Assert(crc.total == reference, "the loop holds what bit after bit makes")

        leaving = register[::-1] if algorithm.reflect_out else register
        due = self.i.valid & beat.last
        check_values(m, crc.o, crc.latency, due, leaving ^ algorithm.xor_out)
        return m

    def shift(self, m: Module, name: str, register: Value, byte: Value) -> Value:
        """Register after the bits of ``byte``."""
        bits = range(8) if self.algorithm.reflect_in else reversed(range(8))
        for number, place in enumerate(bits):
            shifted = Cat(C(0, 1), register[:-1])
            feedback = Mux(register[-1] ^ byte[place], self.algorithm.polynomial, 0)
            register = Signal(self.algorithm.width, name=f"{name}_{number}")
            m.d.comb += register.eq(shifted ^ feedback)
        return register


SMALL = CrcParameters(8, 0x31, 0xA5, True, True, 0x3C)

PROOFS = [
    Proof("bits.Crc/bit-serial", lambda: _BitSerial(SMALL, 1), depth=6),
    Proof("bits.Crc/a value leaves", lambda: _BitSerial(SMALL, 1), depth=6, mode="cover"),
]
