"""Room that the switch's own TLPs have in the queues that they enter."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AnswerRoom"]


class AnswerRoom(wiring.Component):
    """Count the free rows of ``port_count`` queues that have no backpressure.

    Latency is 1 cycle: ``has_room`` knows of all that came before. Throughput is a row taken and
    a row that left per queue and cycle.

    Specification: this docstring.

    Parameters
    ----------
    port_count : int
        Number of queues, 1 or more.
    row_count : int
        Rows of each, 1 or more; all free after reset.

    Members
    -------
    take : In(port_count)
        Bit n: a row of queue n is spoken for; only where ``has_room``.
    left : In(port_count)
        Bit n: a row has left queue n.
    has_room : Out(port_count)
        Bit n: queue n has a free row. Registered.

    Attributes
    ----------
    free : list of Signal
        State: free rows of each queue.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    take: Signal
    left: Signal
    has_room: Signal

    def __init__(self, *, port_count: int, row_count: int):
        if port_count < 1:
            raise ValueError(f"port_count must be 1 or more, not {port_count!r}")
        if row_count < 1:
            raise ValueError(f"answer rows must be 1 or more, not {row_count!r}")
        self.port_count = port_count
        self.row_count = row_count
        super().__init__(
            {"take": In(port_count), "left": In(port_count), "has_room": Out(port_count)}
        )
        self.free = [
            Signal(range(row_count + 1), init=row_count, name=f"free_{number}")
            for number in range(port_count)
        ]

    def elaborate(self, platform):
        m = Module()

        has_room = Signal(self.port_count, init=-1)
        m.d.comb += self.has_room.eq(has_room)
        for number, free in enumerate(self.free):
            take = self.take[number]
            left = self.left[number]
            with m.If(take & ~left):
                m.d.sync += [free.eq(free - 1), has_room[number].eq(free != 1)]
            with m.If(left & ~take):
                m.d.sync += [free.eq(free + 1), has_room[number].eq(1)]
        return m
