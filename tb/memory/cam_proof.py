"""Proofs of hdl.memory.Cam and Tcam."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.memory import Cam, Tcam
from tb.prove import Proof

__all__ = ["PROOFS"]

ENTRY_COUNT = 3
KEY_BITS = 2


class _LowestEqual(wiring.Component):
    """A memory beside a record of what was written, searched entry by entry."""

    lookup_valid: Signal
    lookup_key: Signal
    write_en: Signal
    write_index: Signal
    write_valid: Signal
    write_key: Signal
    write_mask: Signal

    def __init__(self, ternary: bool):
        self.memory = (Tcam if ternary else Cam)(key_bits=KEY_BITS, entry_count=ENTRY_COUNT)
        self.ternary = ternary
        super().__init__(
            {
                "lookup_valid": In(1),
                "lookup_key": In(KEY_BITS),
                "write_en": In(1),
                "write_index": In(2),
                "write_valid": In(1),
                "write_key": In(KEY_BITS),
                "write_mask": In(KEY_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = self.memory
        names = [name for name in self.signature.members if self.ternary or name != "write_mask"]
        for name in names:
            m.d.comb += getattr(memory, name).eq(getattr(self, name))

        # The record keeps the last write of each entry; what a lookup must find follows it through
        # as many registers as the memory has.
        mask = self.write_mask if self.ternary else C(-1, KEY_BITS)
        found = C(0, 1)
        index = C(0, 2)
        for number in reversed(range(ENTRY_COUNT)):
            valid = Signal(name=f"valid_{number}")
            key = Signal(KEY_BITS, name=f"key_{number}")
            cares = Signal(KEY_BITS, name=f"cares_{number}")
            with m.If(self.write_en & (self.write_index == number)):
                m.d.sync += [
                    valid.eq(self.write_valid),
                    key.eq(self.write_key & mask),
                    cares.eq(mask),
                ]
            hit = valid & ((self.lookup_key & cares) == key)
            found, index = hit | found, Mux(hit, number, index)
        expected = Cat(self.lookup_valid, found, index)
        for number in range(memory.latency):
            stage = Signal(4, name=f"expected_{number}")
            m.d.sync += stage.eq(expected)
            expected = stage
        looked_up, found, index = expected[0], expected[1], expected[2:]

        with m.If(~ResetSignal()):
            m.d.comb += Assert(memory.result_valid == looked_up, "a result too many or too few")
            with m.If(looked_up):
                m.d.comb += [
                    Assert(memory.result_match == found, "match without an equal, or none with"),
                    Assert(~found | (memory.result_index == index), "not the lowest"),
                    Cover(found & (index == 2), "the last entry is found"),
                ]
        return m


PROOFS = [
    *(
        Proof(
            f"memory.{'Tcam' if ternary else 'Cam'}/lowest equal entry",
            lambda ternary=ternary: _LowestEqual(ternary),
            depth=9,
            mode="bmc",
        )
        for ternary in (False, True)
    ),
    Proof("memory.Tcam/last entry is found", lambda: _LowestEqual(True), depth=6, mode="cover"),
]
