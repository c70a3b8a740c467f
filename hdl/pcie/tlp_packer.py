"""Packer: closes the gaps between segments, so that the link is not sent idle lanes."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .tlp import TlpBeatLayout, TlpSegmentLayout

__all__ = ["TlpPacker", "select_wide"]


def select_wide(gates: Sequence[Value] | Value, values: Sequence[Value]) -> Value:
    """Of ``values``, the one whose bit in ``gates`` is set; 0 if none is.

    Like :func:`hdl.bits.select_one_hot`, but the Verilog of wide values stays short: nothing is
    replicated there. Synthesis balances the ORs.
    """
    return reduce(or_, (Mux(gate, Value.cast(v), 0) for gate, v in zip(gates, values, strict=True)))


def _is_first(bits: Value, number: int, before: int) -> Value:
    """Whether bit ``number`` is set, and just ``before`` of the bits below it are."""
    below = sum(bits[:number], start=Const(0, 1))
    return bits[number] & (below == before)


class TlpPacker(wiring.Component):
    """Move segments together over lanes and beats.

    A beat of ``i`` may have idle lanes anywhere between TLPs. A beat of ``o`` is filled from
    lane 0 without gaps. It is full unless the segment behind it ends a TLP and either

    - no further row is offered on ``i``: what is here does not wait for what may never come; or
    - the beat before ended within a TLP: its end does not wait, so that ``o.valid`` does not fall
      within a TLP.

    ``o.valid`` falls within a TLP only if ``i.valid`` does, between rows of that TLP. A short
    beat waits while more rows come, for at most ``segment_count`` cycles.

    Latency is 2 cycles. Throughput is a row per cycle while ``o`` takes its beats; a refused beat
    does not hold up rows that still fit beside it.

    Specification: this docstring, and the rules of :class:`TlpBeatLayout`.

    Parameters
    ----------
    segment_count : int
        Segments a beat, 1, 2 or 4.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Rows, each with a valid lane. ``i.ready`` depends combinationally on ``o.ready``.
    clear : In(1)
        Forget everything, also an offer that was refused.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Beats, registered; lanes that are not valid are undefined.

    Attributes
    ----------
    row_valid, fill, inside : Signal
        State: valid lanes of the row that was moved together; one-hot, how many segments wait
        behind ``o``; the last beat on ``o`` ended within a TLP.
    row, held : Signal
        The segments of the former two.

    Raises
    ------
    ValueError
        If ``segment_count`` is another.
    """

    i: stream.Interface
    clear: Signal
    o: stream.Interface

    def __init__(self, *, segment_count: int):
        beat = TlpBeatLayout(segment_count)
        self.segment_count = segment_count
        super().__init__(
            {"i": In(stream.Signature(beat)), "clear": In(1), "o": Out(stream.Signature(beat))}
        )
        self.row_valid = Signal(segment_count)
        self.fill = Signal(segment_count, init=1)
        self.inside = Signal()
        segments = data.ArrayLayout(TlpSegmentLayout(), segment_count)
        self.row = Signal(segments, reset_less=True)
        self.held = Signal(segments, reset_less=True)

    def elaborate(self, platform):
        m = Module()
        lanes = range(self.segment_count)
        segments = data.ArrayLayout(TlpSegmentLayout(), self.segment_count)

        # First cycle: to the lowest lanes of the row.
        row = self.row
        accepts = Signal()
        m.d.comb += self.i.ready.eq(accepts)
        with m.If(accepts):
            m.d.sync += self.row_valid.eq(0)
            with m.If(self.i.valid):
                valid = self.i.p.valid
                for to in lanes:
                    places = lanes[to:]
                    m.d.sync += [
                        self.row_valid[to].eq(Cat(_is_first(valid, n, to) for n in places).any()),
                        Value.cast(row[to]).eq(
                            select_wide(
                                Cat(_is_first(valid, n, to) for n in places),
                                [self.i.p.segments[n] for n in places],
                            )
                        ),
                    ]

        # Second cycle: behind the segments that wait.
        held = self.held
        total = 2 * self.segment_count - 1
        joined = Signal(data.ArrayLayout(TlpSegmentLayout(), total))
        joined_valid = Signal(total)
        for place in range(total):
            shifts = [shift for shift in lanes if 0 <= place - shift < self.segment_count]
            gates = [self.fill[shift] for shift in shifts]
            values = [row[place - shift] for shift in shifts]
            is_held = self.fill[place + 1 :].any()
            m.d.comb += joined_valid[place].eq(
                is_held | Cat(self.fill[n] & self.row_valid[place - n] for n in shifts).any()
            )
            if place + 1 < self.segment_count:
                gates.append(is_held)
                values.append(held[place])
            m.d.comb += Value.cast(joined[place]).eq(select_wide(Cat(gates), values))

        # Bit n of `counts` and of `cuts`: n segments in all; n segments end with the last eop.
        full = joined_valid[self.segment_count - 1]
        ends = Signal(self.segment_count)
        counts = Signal(total + 1)
        cuts = Signal(self.segment_count)
        m.d.comb += [
            ends.eq(Cat(joined_valid[n] & joined[n].eop for n in lanes)),
            counts.eq(Cat(C(1), joined_valid) & ~Cat(joined_valid, C(0))),
        ]
        for n in lanes[1:]:
            m.d.comb += cuts[n].eq(ends[n - 1] & ~ends[n : self.segment_count].any())

        free = Signal()
        part = Signal()
        m.d.comb += [
            free.eq(self.o.ready | ~self.o.valid),
            accepts.eq(free | ~full),
            part.eq(~full & cuts.any() & (self.inside | ((cuts & counts).any() & ~self.i.valid))),
        ]

        beat = Signal(segments, reset_less=True)
        beat_valid = Signal(self.segment_count, reset_less=True)
        m.d.comb += [self.o.p.segments.eq(beat), self.o.p.valid.eq(beat_valid)]
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(full | part),
                Value.cast(beat).eq(Value.cast(joined)[: Value.cast(beat).shape().width]),
                beat_valid.eq(Cat(full | cuts[n + 1 :].any() for n in lanes)),
            ]
            with m.If(full | part):
                m.d.sync += self.inside.eq(full & ~ends[-1])

        # What does not leave stays, moved down by what does.
        with m.If(accepts):
            leave = Signal(self.segment_count + 1)  # one-hot count
            with m.If(full):
                m.d.comb += leave.eq(1 << self.segment_count)
            with m.Elif(free & part):
                m.d.comb += leave.eq(cuts)
            with m.Else():
                m.d.comb += leave.eq(1)
            for n in lanes:
                gone = range(min(self.segment_count, total - n) + 1)
                m.d.sync += [
                    self.fill[n].eq(Cat(leave[count] & counts[n + count] for count in gone).any()),
                ]
                if n + 1 < self.segment_count:
                    gone = [count for count in gone if n + count < total]
                    m.d.sync += Value.cast(held[n]).eq(
                        select_wide(
                            Cat(leave[count] for count in gone),
                            [joined[n + count] for count in gone],
                        )
                    )

        with m.If(self.clear):
            m.d.sync += [
                self.row_valid.eq(0),
                self.fill.eq(1),
                self.inside.eq(0),
                self.o.valid.eq(0),
            ]
        return m
