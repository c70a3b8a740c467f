"""The bytes of the rows that were read, turned to their places in packets."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import Rotate
from .delivery_parts import RowReadLayout, TurnedRowLayout, filled_to
from .memory_port import MemoryStatus

__all__ = ["RowTurner"]


class RowTurner(wiring.Component):
    """Turn each row by its request's shift; make 0 of the rows of a slot that failed.

    One rotator for all clients. Nothing stops here: there is room behind for every row.

    Latency is 5 cycles, throughput 1 row a cycle.

    Parameters
    ----------
    client_count, row_bytes, tag_count, slot_bytes : int
        See :class:`ReadDelivery`.

    Members
    -------
    reads : In(client_count), row : In(RowReadLayout(row_bytes, tag_count, slot_bytes))
        One-hot strobe: the client's row is read from the store.
    read_data : In(8 * row_bytes), status : In(MemoryStatus)
        The row's bytes, a cycle later; how its tag ended, 2 cycles later.
    write : Out(client_count), turned : Out(TurnedRowLayout(row_bytes))
        One-hot strobe, registered: the client's row is turned.
    """

    reads: Signal
    row: data.View
    status: Signal
    read_data: Signal
    write: Signal
    turned: data.View

    def __init__(self, *, client_count: int, row_bytes: int, tag_count: int, slot_bytes: int):
        self.client_count = client_count
        self.row_bytes = row_bytes
        turned = TurnedRowLayout(row_bytes)
        super().__init__(
            {
                "reads": In(client_count),
                "row": In(RowReadLayout(row_bytes, tag_count, slot_bytes)),
                "status": In(MemoryStatus),
                "read_data": In(8 * row_bytes),
                "write": Out(client_count),
                "turned": Out(turned),
            }
        )
        # `data` comes first in a turned row; the rest goes beside it.
        self.about_bits = turned.size - 8 * row_bytes
        self.rotate = Rotate(
            lane_count=row_bytes,
            lane_bits=8,
            tag_bits=client_count + self.about_bits,
            stages=3,
            direction="right",
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rotate = rotate = self.rotate
        layout = TurnedRowLayout(self.row_bytes)
        row = self.row

        # While the row is read: what becomes of it.
        turned = Signal(layout, reset_less=True)
        shift = Signal(rotate.levels, reset_less=True)
        join = Signal(rotate.levels, reset_less=True)
        reads = Signal(self.client_count)
        first = Signal()
        last = Signal()
        alone = Signal()
        rest = Signal(rotate.levels + 1)
        m.d.comb += [
            first.eq(row.begins & row.first),
            last.eq(row.ends & row.last),
            alone.eq((first & last) | (row.shift == 0)),
            # Bytes behind the first one of the beat that the row begins; negative if there is none.
            rest.eq(row.end - row.shift),
        ]
        m.d.sync += [
            reads.eq(self.reads),
            shift.eq(row.shift),
            turned.whole.eq(alone),
            join.eq(Mux(alone, 0, -row.shift)),
            turned.begins_beat.eq(first & ~alone),
            turned.two.eq(last & ~alone & ~rest[-1]),
            turned.tail.eq(Mux(last, rest[:-1], self.row_bytes - 1)),
            turned.first.eq(first),
            turned.last.eq(last),
            turned.flush.eq(row.flush),
            turned.response.tag.eq(row.request_tag),
        ]

        # When it is there.
        came = Signal(layout, reset_less=True)
        came_shift = Signal.like(shift)
        came_reads = Signal(self.client_count)
        m.d.sync += [
            came_reads.eq(reads),
            came_shift.eq(shift),
            came.eq(turned),
            came.data.eq(self.read_data),
            came.below.eq(Cat(*filled_to(join)[1:], C(0, 1))),
        ]
        known = Signal(layout)
        m.d.comb += [known.eq(came), known.response.status.eq(self.status)]

        with m.If(self.status == MemoryStatus.OK):
            m.d.comb += rotate.i.p.data.eq(came.data)
        m.d.comb += [
            rotate.i.valid.eq(came_reads.any()),
            rotate.i.p.amount.eq(came_shift),
            rotate.i.p.tag.eq(Cat(Value.cast(known)[8 * self.row_bytes :], came_reads)),
            rotate.o.ready.eq(1),
            Value.cast(self.turned).eq(Cat(rotate.o.p.data, rotate.o.p.tag[: self.about_bits])),
        ]
        with m.If(rotate.o.valid):
            m.d.comb += self.write.eq(rotate.o.p.tag[self.about_bits :])
        return m
