"""Transmit side of flow control: what may still be sent."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .parts import CreditAmountsLayout
from .port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS, CreditCountsLayout
from .tlp import CLASS_COUNT

__all__ = ["CreditGate"]

#: Bits of the partner's fields before scaling (2.6.1; InitFC and UpdateFC DLLPs, 3.4.1).
HEADER_FIELD_BITS = 8
DATA_FIELD_BITS = 12


class CreditGate(wiring.Component):
    """Turn the partner's cumulative credit limits into amounts that may be sent now.

    Each of the six counts is kept as the amount left: a new limit adds what it has moved since
    the last one that was taken, a TLP subtracts its cost. All is modulo the partner's field,
    shifted by the scale. A limit that would leave more than half of the range is not taken:
    a limit that moves backwards looks like that, and the transmitter gating function (2.6.1.2)
    could not tell the excess from credits overdrawn. It is looked at again in every cycle.

    ``infinite`` and ``scale`` are taken when ``link_up`` rises and then hold until it falls.

    Latency is 1 cycle from ``spend`` to ``available``, 3 cycles from ``limits``, 4 from the rise
    of ``link_up``, 1 from its fall. A spend in every cycle; a new limit in every other one, where
    of two that follow at once the later one includes the earlier.

    Specification: PCI Express Base Specification, 2.6.1, flow control rules (transmitter gating,
    infinite credits); 3.4.2, scaled flow control.

    Members
    -------
    limits : In(CreditCountsLayout())
        CREDIT_LIMIT of the port's ``tx_limits``. Bits outside the field mean nothing.
    infinite : In(6)
        Bit 2n: headers of class n, bit 2n + 1: data of class n are without limit.
    scale : In(2)
        0 (x1), 1 (x4), 2 (x16); 3 is taken for 2.
    link_up : In(1)
        While 0, nothing is available, and the counts restart.
    available : Out(CreditAmountsLayout(13, 17))
        What may be sent, registered; all ones where credits are infinite, 2048 headers and 32768
        data credits at most elsewhere.
    spend : In(CreditAmountsLayout(3, 11))
        What is sent in this cycle: no more than is available.
    """

    limits: Any
    infinite: Signal
    scale: Signal
    link_up: Signal
    available: Any
    spend: Any

    def __init__(self):
        # State, kept here for the proofs.
        self.was_up = Signal()
        self.taken_scale = Signal(2)
        names = [f"{kind}_{n}" for n in range(CLASS_COUNT) for kind in ("headers", "data")]
        widths = [HEADER_CREDIT_BITS, DATA_CREDIT_BITS] * CLASS_COUNT
        self.taken_limits = {
            name: Signal(width, name=f"{name}_taken_limit")
            for name, width in zip(names, widths, strict=True)
        }
        self.added = {
            name: Signal(width, name=f"{name}_added")
            for name, width in zip(names, widths, strict=True)
        }
        super().__init__(
            {
                "limits": In(CreditCountsLayout()),
                "infinite": In(2 * CLASS_COUNT),
                "scale": In(2),
                "link_up": In(1),
                "available": Out(CreditAmountsLayout(HEADER_CREDIT_BITS + 1, DATA_CREDIT_BITS + 1)),
                "spend": In(CreditAmountsLayout(3, 11)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        was_up, scale = self.was_up, self.taken_scale
        infinite = Signal(2 * CLASS_COUNT)
        m.d.sync += was_up.eq(self.link_up)
        with m.If(~was_up):
            m.d.sync += [scale.eq(self.scale), infinite.eq(self.infinite)]

        for number in range(CLASS_COUNT):
            for kind, (name, bits) in enumerate(
                [("headers", HEADER_FIELD_BITS), ("data", DATA_FIELD_BITS)]
            ):
                self._count(
                    m,
                    f"{name}_{number}",
                    limit=self.limits[number][name],
                    spend=self.spend[number][name],
                    available=self.available[number][name],
                    running=was_up & self.link_up,
                    field_bits=bits,
                    scale=scale,
                    infinite=infinite[2 * number + kind],
                )
        return m

    def _count(
        self,
        m: Module,
        name: str,
        *,
        limit: Value,
        spend: Value,
        available: Value,
        running: Value,
        field_bits: int,
        scale: Value,
        infinite: Value,
    ) -> None:
        """Keep one of the six amounts."""
        width = len(limit)
        field = Signal(width, name=f"{name}_field")
        half = Signal(width, name=f"{name}_half")
        with m.Switch(scale):
            for value in (0, 1, 2):
                bits = field_bits + 2 * value
                with m.Case(value) if value < 2 else m.Default():
                    m.d.comb += [
                        field.eq((1 << bits) - (1 << 2 * value)),
                        half.eq(1 << (bits - 1)),
                    ]

        # Growth is found in one cycle, judged in the next, added in the third. While one is judged
        # the growth found beside it, against the limit before, is void if that one is taken. What
        # is spent meanwhile only makes more room below half of the range.
        taken_limit = self.taken_limits[name]
        growth = Signal(width, name=f"{name}_growth")
        candidate = Signal(width, name=f"{name}_candidate")
        fresh = Signal(name=f"{name}_fresh")
        grown = Signal(len(available), name=f"{name}_grown")
        takes = Signal(name=f"{name}_takes")
        added = self.added[name]
        m.d.comb += [
            grown.eq(available + growth),
            takes.eq(fresh & growth.any() & (grown <= half)),
        ]
        m.d.sync += [
            candidate.eq(limit & field),
            growth.eq((limit - taken_limit) & field),
            fresh.eq(running & ~takes),
            added.eq(growth & takes.replicate(width)),
            available.eq(available + added - spend),
        ]
        with m.If(takes):
            m.d.sync += taken_limit.eq(candidate)
        with m.If(infinite):
            m.d.sync += available.eq(-1)
        with m.If(~running):
            m.d.sync += [available.eq(0), taken_limit.eq(0), fresh.eq(0), added.eq(0)]
