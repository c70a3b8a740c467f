"""Queue of rows whose items leave one by one."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..stream import Queue

__all__ = ["ItemQueue", "ItemRowLayout", "ItemSerializer"]

_EPOCH_BITS = 2


class ItemRowLayout(data.StructLayout):
    """Up to ``lane_count`` items that came in one cycle.

    Fields
    ------
    lanes : lane_count bits
        Which items there are.
    items : array of unsigned
        Items as plain bits, lane 0 first.
    """

    def __init__(self, item_bits: int, lane_count: int):
        super().__init__(
            {"lanes": lane_count, "items": data.ArrayLayout(unsigned(item_bits), lane_count)}
        )


class ItemSerializer(wiring.Component):
    """Take rows apart: their items leave one by one, lane 0 first.

    An item that is to be dropped, because its row was or because ``drop`` says so while it is
    offered, leaves without being taken: an offer on ``o`` is taken back then.

    Latency is 1 cycle. Throughput is 1 item per cycle; a row without items takes a cycle.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of an item.
    lane_count : int
        Lanes of a row, 1 or more.

    Members
    -------
    i : In(stream.Signature(ItemRowLayout(item_bits, lane_count)))
        Rows. ``i.ready`` depends combinationally on all inputs.
    i_stale : In(1)
        Items of the row offered now are to be dropped: those that leave ``i`` in this cycle.
    drop : In(1)
        The item on ``o`` is to be dropped; may depend on it.
    o : Out(stream.Signature(shape))
        Items. ``valid`` depends combinationally on ``drop``, the payload is registered.
    left : Out(1)
        Strobe: the item on ``o``'s payload leaves, taken or dropped. Combinational.

    Attributes
    ----------
    held : Signal
        State: there is an item on ``o``'s payload.

    Raises
    ------
    ValueError
        If ``lane_count`` is less than 1.
    """

    i: stream.Interface
    i_stale: Signal
    drop: Signal
    o: stream.Interface
    left: Signal

    def __init__(self, *, shape: ShapeLike, lane_count: int):
        if lane_count < 1:
            raise ValueError(f"lane_count must be 1 or more, not {lane_count!r}")
        self.lane_count = lane_count
        self.item_bits = Shape.cast(shape).width
        super().__init__(
            {
                "i": In(stream.Signature(ItemRowLayout(self.item_bits, lane_count))),
                "i_stale": In(1),
                "drop": In(1),
                "o": Out(stream.Signature(shape)),
                "left": Out(1),
            }
        )
        self.held = Signal()

    def elaborate(self, platform):
        m = Module()

        item = Signal(self.item_bits, reset_less=True)
        stale = Signal(reset_less=True)
        can_load = Signal()
        m.d.comb += [
            Value.cast(self.o.payload).eq(item),
            self.o.valid.eq(self.held & ~stale & ~self.drop),
            self.left.eq(self.held & (self.o.ready | stale | self.drop)),
            can_load.eq(self.left | ~self.held),
        ]

        taken = Signal(self.lane_count)
        remaining = Signal(self.lane_count)
        first = Signal(self.lane_count)
        is_last = Signal()
        m.d.comb += [
            remaining.eq(self.i.p.lanes & ~taken),
            first.eq(remaining & -remaining),
            is_last.eq(~(remaining & ~first).any()),
            self.i.ready.eq(can_load & is_last),
        ]
        with m.If(can_load):
            m.d.sync += [
                self.held.eq(self.i.valid & remaining.any()),
                stale.eq(self.i_stale),
                item.eq(select_one_hot(first, [self.i.p.items[n] for n in range(len(first))])),
            ]
            with m.If(self.i.valid):
                m.d.sync += taken.eq(Mux(is_last, 0, taken | first))
        return m


class ItemQueue(wiring.Component):
    """Hold up to ``row_count`` rows; their items leave one by one, in order.

    While ``drop`` is high, and of what came before it fell, everything is dropped: items leave one
    a cycle without being taken. So what is held when a link goes down never reaches the
    link's next life, however short it is down, and each item is still seen leaving.

    Latency is 4 cycles. Throughput is 1 row in and 1 item out per cycle. There is no
    backpressure: who sends knows that there is room.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of an item.
    lane_count : int
        Lanes of a row, 1 or more.
    row_count : int
        Rows held at least, 2 or more.

    Members
    -------
    i : In(ItemRowLayout(item_bits, lane_count))
        Strobe: a row comes when any of its lanes is set.
    drop : In(1)
        Whether to drop. Falls at most 3 times in the time that the queue takes to empty.
    o : Out(stream.Signature(shape))
        Items; an offer is taken back when ``drop`` rises.
    left : Out(1)
        Strobe: the item on ``o``'s payload leaves, taken or dropped. Combinational.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    drop: Signal
    o: stream.Interface
    left: Signal

    def __init__(self, *, shape: ShapeLike, lane_count: int, row_count: int):
        self._serializer = ItemSerializer(shape=shape, lane_count=lane_count)
        row = ItemRowLayout(self._serializer.item_bits, lane_count)
        self._row_bits = row.size
        self._queue = Queue(shape=unsigned(_EPOCH_BITS + row.size), depth=row_count)
        super().__init__(
            {
                "i": In(row),
                "drop": In(1),
                "o": Out(stream.Signature(shape)),
                "left": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        m.submodules.serializer = serializer = self._serializer

        # Each row keeps the number of the link's life that it came in.
        epoch = Signal(_EPOCH_BITS)
        last_epoch = Signal(_EPOCH_BITS)
        was_dropping = Signal()
        m.d.sync += [was_dropping.eq(self.drop), last_epoch.eq(epoch)]
        m.d.comb += epoch.eq(last_epoch + (was_dropping & ~self.drop))

        m.d.comb += [
            queue.i.valid.eq(self.i.lanes.any()),
            queue.i.payload.eq(Cat(self.i, epoch)),
            serializer.i.valid.eq(queue.o.valid),
            Value.cast(serializer.i.payload).eq(queue.o.payload),
            queue.o.ready.eq(serializer.i.ready),
            serializer.i_stale.eq(self.drop | (queue.o.payload[self._row_bits :] != epoch)),
            serializer.drop.eq(self.drop),
            self.left.eq(serializer.left),
        ]
        wiring.connect(m, serializer.o, wiring.flipped(self.o))
        return m
