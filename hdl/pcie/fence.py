"""Order between messages that the switch takes and the posted TLPs in front of them."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .parts import PostedRowsLayout

__all__ = ["Fence"]


class Fence(wiring.Component):
    """Hold each item until the posted rows that stand in a queue when it comes have left.

    When an item gets first, the rows inside are noted; those that leave are counted off, and at 0
    the item passes. Rows that come later are not waited for, so an item waits no longer than what
    is in front of it. An offer that is taken back is forgotten.

    ``posted`` knows of a row 2 cycles after its beat: what brings the item here must be no faster.

    Latency is 1 cycle if there is no row. Throughput is 1 item per 2 cycles.

    Specification: PCI Express Base Specification, 2.4.1, transaction ordering: a posted TLP does
    not pass another.

    Parameters
    ----------
    shape : shape-like
        Shape of an item.

    Members
    -------
    i : In(stream.Signature(shape))
        Items; offers may be taken back. ``ready`` depends combinationally on ``o.ready`` only.
    posted : In(PostedRowsLayout())
        The queue.
    o : Out(stream.Signature(shape))
        The same items. ``valid`` depends combinationally on ``i.valid``; an offer may be taken
        back.

    Attributes
    ----------
    noted : Signal
        State: the rows in front of the item on ``i`` are known.
    remaining : Signal
        State, with ``noted``: how many of them have not left.
    """

    i: stream.Interface
    posted: Any
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike):
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "posted": In(PostedRowsLayout()),
                "o": Out(stream.Signature(shape)),
            }
        )
        self.noted = Signal()
        self.remaining = Signal.like(self.posted.inside, reset_less=True)

    def elaborate(self, platform):
        m = Module()
        passes = Signal()
        m.d.comb += [
            passes.eq(self.noted & (self.remaining == 0)),
            self.o.valid.eq(self.i.valid & passes),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & passes),
        ]
        before = Signal.like(self.remaining)
        m.d.comb += before.eq(Mux(self.noted, self.remaining, self.posted.inside))
        m.d.sync += [
            self.noted.eq(self.i.valid & ~self.i.ready),
            self.remaining.eq(before - (self.posted.leaves & before.any())),
        ]
        return m
