"""Shift of AXI4 writes: turns rows to the places of their bytes, and makes the beats."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import Rotate
from .axi_write_parts import AxiStepLayout

__all__ = ["AxiBeatLayout", "AxiWriteShift"]


class AxiBeatLayout(data.StructLayout):
    """A beat of WDATA, with WSTRB and WLAST."""

    def __init__(self, row_bytes: int):
        super().__init__({"data": 8 * row_bytes, "strb": row_bytes, "last": 1})


class AxiWriteShift(wiring.Component):
    """Turn the row of each step, join it with what the step before left over, and send the beat.

    Latency is 4 cycles up to 32 bytes and 5 above: row, rotator of one or two stages, beat.
    Throughput is a step per cycle.

    Specification: Arm IHI 0022, AMBA AXI and ACE, A3.4.3 (write strobes).

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`AxiWrite`, a row being a beat.

    Members
    -------
    i : In(stream.Signature(AxiStepLayout(client_count, row_bytes)))
        Steps. ``ready`` depends combinationally on ``o.ready``.
    row_data : In(8 * row_bytes)
        Row of the step that was taken last, from the cycle after on.
    o : Out(stream.Signature(AxiBeatLayout(row_bytes)))
        Beats, registered.
    """

    i: stream.Interface
    row_data: Signal
    o: stream.Interface

    def __init__(self, *, client_count: int, row_bytes: int):
        self.row_bytes = row_bytes
        self.step_layout = AxiStepLayout(client_count, row_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self.step_layout)),
                "row_data": In(8 * row_bytes),
                "o": Out(stream.Signature(AxiBeatLayout(row_bytes))),
            }
        )
        self.tag_layout = data.StructLayout(
            {"emit": 1, "below": row_bytes, "strb": row_bytes, "last": 1}
        )

    def elaborate(self, platform):
        m = Module()
        places = range(self.row_bytes)
        m.submodules.rotate = rotate = Rotate(
            lane_count=self.row_bytes,
            lane_bits=8,
            tag_bits=self.tag_layout.size,
            stages=1 if self.row_bytes <= 32 else 2,
            direction="left",
        )

        # While the row is read, then with the row.
        step = Signal(self.step_layout, reset_less=True)
        step_valid = Signal()
        tag = Signal(self.tag_layout, reset_less=True)
        amount = Signal(range(self.row_bytes), reset_less=True)
        row = Signal(8 * self.row_bytes, reset_less=True)
        row_valid = Signal()
        goes_on = Signal()
        m.d.comb += [
            goes_on.eq(rotate.i.ready | ~row_valid),
            self.i.ready.eq(goes_on | ~step_valid),
            rotate.i.valid.eq(row_valid),
            rotate.i.p.data.eq(row),
            rotate.i.p.amount.eq(amount),
            rotate.i.p.tag.eq(tag),
        ]
        with m.If(self.i.ready):
            m.d.sync += [step_valid.eq(self.i.valid), step.eq(self.i.payload)]
        with m.If(goes_on):
            m.d.sync += [
                row_valid.eq(step_valid),
                row.eq(self.row_data),
                amount.eq(step.shift),
                tag.emit.eq(step.emit),
                tag.last.eq(step.ends),
                tag.below.eq(Cat(step.shift > place for place in places)),
                tag.strb.eq(
                    Cat(
                        ~step.none & (step.first <= place) & (step.last >= place)
                        for place in places
                    )
                ),
            ]

        turned = Signal(self.tag_layout)
        takes = Signal()
        kept = Signal(8 * self.row_bytes, reset_less=True)
        beat = Signal(AxiBeatLayout(self.row_bytes), reset_less=True)
        m.d.comb += [
            turned.eq(rotate.o.p.tag),
            rotate.o.ready.eq(self.o.ready | ~self.o.valid),
            takes.eq(rotate.o.valid & rotate.o.ready),
            self.o.payload.eq(beat),
        ]
        with m.If(takes):
            m.d.sync += kept.eq(rotate.o.p.data)
        with m.If(rotate.o.ready):
            m.d.sync += [
                self.o.valid.eq(rotate.o.valid & turned.emit),
                beat.strb.eq(turned.strb),
                beat.last.eq(turned.last),
            ]
            for place in places:
                byte = slice(8 * place, 8 * (place + 1))
                m.d.sync += beat.data[byte].eq(
                    Mux(turned.below[place], kept[byte], rotate.o.p.data[byte])
                )
        return m
