"""Credits of TLPs that leave by several ports."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SharedCredits"]


class SharedCredits(wiring.Component):
    """Return the header credit of each broadcast when its last copy has left.

    A broadcast has one credit, but a copy in the queues of ``column_count`` columns, which leave
    when they can. Each column keeps their order, so the nth broadcast is gone when n copies have
    left every column: a credit is free while each has a copy left that was not counted yet.

    That is exact, and bounded: a copy that left and was not counted belongs to a broadcast whose
    credit is not free yet. The sender has ``headers`` of them, so no count exceeds that, and no
    column holds more copies. One credit a cycle is as fast as a column of one segment.

    Latency is 2 cycles. Throughput is 1 credit per cycle; what leaves faster is counted.

    Specification: PCI Express Base Specification, 2.6.1, flow control rules: credits are returned
    when the receiver has room again.

    Parameters
    ----------
    column_count : int
        Columns that get a copy, 1 or more.
    segment_count : int
        Copies that leave a column in a cycle at most.
    headers : int
        Posted header credits that the port advertises, 1 or more.

    Members
    -------
    left : In(range(segment_count + 1)).array(column_count)
        Copies that leave each column in this cycle, dropped ones included.
    freed : Out(1)
        A header credit returns in this cycle; registered.

    Attributes
    ----------
    counts : list of Signal
        State: copies that have left each column and are not counted yet.

    Raises
    ------
    ValueError
        If a parameter is less than 1.
    """

    left: list[Signal]
    freed: Signal

    def __init__(self, *, column_count: int, segment_count: int, headers: int):
        for name, value in (
            ("column_count", column_count),
            ("segment_count", segment_count),
            ("headers", headers),
        ):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value!r}")
        super().__init__(
            {"left": In(range(segment_count + 1)).array(column_count), "freed": Out(1)}
        )
        self.counts = [
            Signal(range(headers + 1), name=f"count_{number}") for number in range(column_count)
        ]

    def elaborate(self, platform):
        m = Module()
        frees = Signal()
        m.d.comb += frees.eq(Cat(count.any() for count in self.counts).all())
        m.d.sync += self.freed.eq(frees)
        for count, left in zip(self.counts, self.left, strict=True):
            m.d.sync += count.eq(count + left - frees)
        return m
