"""What of a piece of a list goes into a packet."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .gather_layouts import PartLayout, WalkEndLayout, WalkUnitLayout
from .walk_start import HEAD_UNITS, WalkStartLayout
from .work_layouts import PieceLayout

__all__ = ["MeasuredUnitLayout", "PieceMeasure"]

#: Flag of a zero-based window in unit 0.
_ZERO_BASED_BIT = 14
_SUM_BITS = 34
_HALF = _SUM_BITS // 2


class MeasuredUnitLayout(data.StructLayout):
    """A unit that is here.

    Fields
    ------
    beyond : 1 bit
        It lies behind the list.
    ends_list : 1 bit
        There is no unit behind it.
    ... :
        WalkUnitLayout(config).
    """

    def __init__(self, config: RoceConfig):
        super().__init__({**WalkUnitLayout(config).members, "beyond": 1, "ends_list": 1})


class PieceMeasure(wiring.Component):
    """Measure a piece: what of it the packet takes, and whether it ends with it.

    A step takes a unit; what is said of it counts from 2 cycles behind the step on, with narrow
    beats 3, until the next one. In the first of them comes what the piece has behind the bytes to
    skip; in the second what the packet has left behind the piece, with narrow beats from registers,
    else by sums in halves, the high one made for each carry.

    Throughput is a unit every 2 cycles, with narrow beats every 3.

    Specification: docs/roce-requester.md (entry of a work queue).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    step : In(1)
        Next unit.
    fetched : In(WalkStartLayout(config))
        With ``step``: the next unit; of the first one of a packet, what begins with it.
    unit : In(PieceLayout())
        With ``step``: its bytes.
    measured : In(MeasuredUnitLayout(config))
        Between steps: the unit that the last one took.
    part : Out(PartLayout())
        Of that unit; it counts if it ``gives``.
    gives, ends : Out(1) each
        A part leaves; the packet ends with this unit.
    end : Out(WalkEndLayout())
        Where it ends.
    piece : Out(PieceLayout())
        The unit's bytes: of an ATOMIC's head the operand and the compare, its low and its high
        half.
    """

    step: Signal
    fetched: Any
    unit: Any
    measured: Any
    part: Any
    gives: Signal
    ends: Signal
    end: Any
    piece: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "step": In(1),
                "fetched": In(WalkStartLayout(config)),
                "unit": In(PieceLayout()),
                "measured": In(MeasuredUnitLayout(config)),
                "part": Out(PartLayout()),
                "gives": Out(1),
                "ends": Out(1),
                "end": Out(WalkEndLayout()),
                "piece": Out(PieceLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        measured, fetched = self.measured, self.fetched
        piece: Any = Signal(PieceLayout(), reset_less=True)
        skip = Signal(32, reset_less=True)  # of this piece
        left = Signal(32, reset_less=True)  # of the packet
        base = Signal(32, reset_less=True)
        is_full = Signal(reset_less=True)  # the packet has all of its bytes
        with m.If(self.step):
            m.d.sync += piece.eq(self.unit)

        # Minus what the piece has behind `skip`, and one less; its end. In the first cycle.
        rest = Signal(33, reset_less=True)
        rest_less = Signal(33, reset_less=True)
        after = Signal(32, reset_less=True)
        m.d.sync += [
            rest.eq(skip - piece.length),
            rest_less.eq(skip + Cat(~piece.length, 1)),
            after.eq(base + piece.length),
        ]
        # What of the packet is left behind this piece, if that is positive. In the second one.
        more = self._sum(m, "more", left, rest)
        more_less = self._sum(m, "more_less", left, rest_less)
        is_piece = Signal()
        is_window = Signal()
        has = Signal()
        fills = Signal()
        is_beyond = Signal()  # the piece has more than the packet
        ends = Signal()
        is_used_up = Signal()
        m.d.comb += [
            is_piece.eq(measured.walks & ~measured.is_head & ~measured.beyond),
            is_window.eq(measured.is_local & measured.is_head),
            has.eq(is_piece & rest[-1]),
            fills.eq(has & more_less[-1]),
            is_used_up.eq(fills & ~more[-1]),
            is_beyond.eq(has & more[-1]),
            ends.eq(measured.ends_list | is_beyond | (fills & ~measured.is_final)),
            self.ends.eq(ends),
            self.gives.eq((has & ~is_full) | ends | is_window),
            self.piece.eq(piece),
        ]
        part = self.part
        m.d.comb += [
            part.address.eq(piece.address),
            # Unit 0: flags in byte 1, the window's key in bytes 4 to 7, rights behind it.
            part.key.eq(Mux(is_window, piece.address[32:], piece.key)),
            part.zero_based.eq(piece.address[_ZERO_BASED_BIT]),
            part.rights.eq(piece.length),
            part.length.eq(piece.length),
            part.skip.eq(skip),
            part.take.eq(Mux(fills, left, ~rest_less)),
            part.domain.eq(measured.domain),
            part.number.eq(measured.number),
            part.has.eq(has & ~is_full),
            part.direct.eq(measured.direct),
            part.is_operation.eq(measured.is_operation),
            part.is_atomic.eq(measured.is_atomic),
            part.is_local.eq(measured.is_local),
            part.is_bind.eq(measured.is_bind),
            part.is_window.eq(is_window),
            part.misfits.eq(
                measured.walks & ~is_window & (~(fills | is_full) | (is_beyond & measured.is_final))
            ),
            # Behind the last byte, a part only tells whether the list misfits.
            part.closes.eq(
                Mux(
                    measured.is_local,
                    ends,
                    measured.is_empty | (~is_full & (fills | measured.ends_list)),
                )
            ),
            part.last.eq(ends),
        ]
        with m.If(self.step):
            with m.If(fetched.first):
                m.d.sync += [
                    skip.eq(fetched.skip),
                    left.eq(fetched.left),
                    base.eq(fetched.base),
                    is_full.eq(fetched.is_empty),
                ]
            with m.Elif(is_piece):
                m.d.sync += [
                    skip.eq(Mux(has, 0, rest)),
                    base.eq(after),
                    is_full.eq(is_full | fills),
                ]
                with m.If(has):
                    m.d.sync += left.eq(more)

        m.d.comb += [
            self.end.slot.eq(measured.slot),
            self.end.unit.eq(measured.unit + is_used_up),
            self.end.base.eq(Mux(is_used_up, after, base)),
        ]
        with m.If(~measured.walks | ~measured.is_data):
            m.d.comb += [self.end.unit.eq(HEAD_UNITS), self.end.base.eq(0)]
        return m

    def _sum(self, m: Module, name: str, left: Value, rest: Value) -> Signal:
        """``left``, which is positive, and ``rest``, which need not be."""
        total = Signal(_SUM_BITS, name=name)
        if self.config.is_narrow:
            m.d.sync += total.eq(left + Cat(rest, rest[-1]))
            return total
        low = Signal(_HALF + 1, name=f"{name}_low")
        highs = [Signal(_HALF, name=f"{name}_high_{carry}") for carry in range(2)]
        high_left, high_rest = left[_HALF:], Cat(rest[_HALF:], rest[-1])
        m.d.comb += [
            low.eq(left[:_HALF] + rest[:_HALF]),
            # A carry below both is one into the sum.
            *(
                high.eq((Cat(C(carry, 1), high_left) + Cat(C(carry, 1), high_rest))[1:])
                for carry, high in enumerate(highs)
            ),
            total.eq(Cat(low[:_HALF], Mux(low[_HALF], highs[1], highs[0]))),
        ]
        return total
