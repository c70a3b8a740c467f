"""Proofs of hdl.pcie.CreditGate."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie import CreditGate
from hdl.pcie.parts import CreditAmountsLayout
from hdl.pcie.port import CreditCountsLayout
from tb.prove import Proof

__all__ = ["PROOFS"]


class _NeverBeyondLimit(wiring.Component):
    """A gate with any limits, whose user spends no more than is available.

    What is available plus what was spent is a limit that was given, modulo the field, and at
    most half of the range: so no TLP ever overdraws the partner.
    """

    limits: Any
    scale: Signal
    link_up: Signal
    spend: Any

    def __init__(self):
        super().__init__(
            {
                "limits": In(CreditCountsLayout()),
                "scale": In(2),
                "link_up": In(1),
                "spend": In(CreditAmountsLayout(3, 11)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = gate = CreditGate()
        m.d.comb += [
            gate.limits.eq(self.limits),
            gate.scale.eq(self.scale),
            gate.link_up.eq(self.link_up),
            gate.spend.eq(self.spend),
        ]

        with m.If(~ResetSignal()):
            for name, field_bits in (("headers", 8), ("data", 12)):
                self._check(m, gate, name, field_bits)
        return m

    def _check(self, m: Module, gate: CreditGate, name: str, field_bits: int) -> None:
        limit = self.limits[0][name]
        spend = self.spend[0][name]
        available = gate.available[0][name]
        field = Signal(len(limit), name=f"field_{name}")
        half = Signal(len(limit), name=f"half_{name}")
        for value in range(4):
            shift = 2 * min(value, 2)
            with m.If(gate.taken_scale == value):
                m.d.comb += [
                    field.eq((1 << field_bits + shift) - (1 << shift)),
                    half.eq(1 << (field_bits + shift - 1)),
                ]

        running = gate.was_up & self.link_up
        spent = Signal(len(limit), name=f"spent_{name}")
        previous = Signal(len(limit), name=f"previous_{name}")
        before = Signal(len(limit), name=f"before_{name}")
        taken = gate.taken_limits[f"{name}_0"]
        m.d.sync += [
            previous.eq(limit & field),
            before.eq(taken),
            spent.eq(Mux(running, spent + spend, 0)),
        ]
        total = Signal(len(limit), name=f"total_{name}")
        m.d.comb += total.eq(available + gate.added[f"{name}_0"] + spent)
        modulus = field | (field >> 2) | (field >> 4)
        older = Signal(len(limit), name=f"older_{name}")
        m.d.sync += older.eq(previous)
        m.d.comb += [
            Assume(spend <= available, "spends what there is"),
            Assert(available + gate.added[f"{name}_0"] <= half, "more than half the range"),
            Assert((taken & ~field) == 0, "a limit that is more than its field"),
            Assert((total & modulus) == taken, "available is not the limit less what was spent"),
            Assert(
                (taken == before) | (taken == older) | (taken == 0),
                "a limit that was not given",
            ),
            Cover((available == half) & (spent > 3), "half the range"),
        ]


PROOFS = [
    Proof("pcie.CreditGate/never beyond a limit", _NeverBeyondLimit, depth=4),
    Proof("pcie.CreditGate/all is reached", _NeverBeyondLimit, depth=12, mode="cover"),
]
