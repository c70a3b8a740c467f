"""Proofs of hdl.memory.DelayLine."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.memory import DelayLine
from tb.prove import Proof

__all__ = ["PROOFS"]


class _SameAsShiftRegister(wiring.Component):
    """A line beside a shift register of as many flip-flops."""

    i: Signal

    def __init__(self, cycles: int, storage: str):
        self.cycles = cycles
        self.storage = storage
        super().__init__({"i": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.line = line = DelayLine(shape=1, cycles=self.cycles)
        line.storage = self.storage
        history = Signal(self.cycles)
        filled = Signal(self.cycles)
        m.d.comb += line.i.eq(self.i)
        m.d.sync += [history.eq(Cat(self.i, history)), filled.eq(Cat(1, filled))]
        with m.If(filled[-1] & ~ResetSignal()):
            m.d.comb += Assert(line.o == history[-1], "not the value of that many cycles before")
            m.d.comb += Cover(line.o, "a one came out")
        return m


PROOFS = [
    *(
        Proof(
            f"memory.DelayLine/{storage} delays",
            lambda storage=storage: _SameAsShiftRegister(5, storage),
            depth=7,
        )
        for storage in ("flip-flops", "distributed", "block")
    ),
    Proof(
        "memory.DelayLine/a one comes out",
        lambda: _SameAsShiftRegister(5, "distributed"),
        depth=10,
        mode="cover",
    ),
]
