"""What an AXI4 read engine knows of one client: its room, and which row comes next."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .axi_watch import AxiWatch
from .delivery_parts import RowReadLayout
from .memory_port import MemoryStatus

__all__ = ["AxiBurstLayout", "AxiReadClient", "row_layout"]


def row_layout(data_bytes: int) -> RowReadLayout:
    """Layout of rows for the turner; there are no slots, so where they are means nothing."""
    return RowReadLayout(data_bytes, 2, 2 * data_bytes)


class AxiBurstLayout(data.StructLayout):
    """A burst that was asked for, or what stands in its place.

    Fields
    ------
    rows_1 : range(burst_rows)
        Rows, less 1.
    sent : 1 bit
        The memory was asked; if not, the rows are made without it.
    shift, end : range(data_bytes)
        Place in a row of the request's first byte; of the burst's last byte.
    begins, ends, flush : 1 bit each
        First, last burst of its request; a request of 0 bytes.
    request_tag : 8 bits
        The client's.
    """

    def __init__(self, data_bytes: int, burst_rows: int):
        row = row_layout(data_bytes)
        names = ("shift", "end", "begins", "ends", "flush", "request_tag")
        super().__init__(
            {
                "rows_1": range(burst_rows),
                "sent": 1,
                **{name: row[name].shape for name in names},
            }
        )


class AxiReadClient(wiring.Component):
    """Reserve room for a client's bursts, and tell what the next row of them is.

    A burst needs a place in the queue, and a row at least where rows are kept: as many bursts as
    rows, so that the queue, too, has room for what is ``allowed``. Of a piece that is chosen but
    whose rows are not known, the longest burst is reserved.

    Rows come with beats of the memory; those of flushes and of requests that are given up come
    without. While the client is ``lost`` all rows come without, and beats are dropped.

    Latency is 4 cycles from ``write`` to the row. Throughput is a row a cycle.

    Specification: this docstring.

    Parameters
    ----------
    data_bytes, burst_rows, buffer_rows : int
        As of :class:`AxiRead`.

    Members
    -------
    allowed : Out(1)
        A piece may be chosen. Registered.
    take : In(1)
        Strobe: one is chosen.
    write : In(1), burst : In(AxiBurstLayout(data_bytes, burst_rows))
        Strobe: what became of a piece.
    left : In(1)
        Strobe: a row has left where rows are kept.
    tick : In(1)
        See :class:`AxiWatch`.
    got : In(1)
        Strobe: a beat was taken, be it of use or not.
    feed : In(1)
        Strobe: the next row is made.
    takes, drops, makes : Out(1)
        A beat would be the next row; would be dropped; the next row needs none.
    lost : Out(1)
        The client was given up. Registered.
    row : Out(RowReadLayout), status : Out(MemoryStatus)
        The next row; its status, if it is made without a beat.
    """

    allowed: Signal
    take: Signal
    write: Signal
    burst: Any
    left: Signal
    tick: Signal
    got: Signal
    feed: Signal
    takes: Signal
    drops: Signal
    makes: Signal
    lost: Signal
    row: Any
    status: Signal

    def __init__(self, *, data_bytes: int, burst_rows: int, buffer_rows: int):
        self.burst_rows = burst_rows
        self.buffer_rows = buffer_rows
        self.burst_layout = AxiBurstLayout(data_bytes, burst_rows)
        super().__init__(
            {
                "allowed": Out(1),
                "take": In(1),
                "write": In(1),
                "burst": In(self.burst_layout),
                "left": In(1),
                "tick": In(1),
                "got": In(1),
                "feed": In(1),
                "takes": Out(1),
                "drops": Out(1),
                "makes": Out(1),
                "lost": Out(1),
                "row": Out(row_layout(data_bytes)),
                "status": Out(MemoryStatus),
            }
        )
        self.bursts = Queue(shape=self.burst_layout, depth=buffer_rows)
        self.watch = AxiWatch(most=buffer_rows, step=burst_rows)
        # For proofs: rows nobody has reserved, those of sent bursts that are still to be made.
        self.room = Signal(range(buffer_rows + 1), init=buffer_rows)
        self.waiting = Signal(range(buffer_rows + 1))

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self.bursts
        m.submodules.watch = watch = self.watch

        # Two pieces may be chosen before `room` knows.
        burst_bits = self.burst_rows.bit_length() - 1
        took = Signal()
        spare = Signal(range(self.burst_rows))
        m.d.sync += [
            took.eq(self.take),
            spare.eq(Mux(self.write, ~self.burst.rows_1, 0)),
            self.room.eq(self.room + spare + self.left - (took << burst_bits)),
            self.allowed.eq(self.room[burst_bits:] >= 3),
        ]

        add = Signal(range(self.burst_rows + 1))
        got = Signal()
        current = Signal(self.burst_layout, reset_less=True)
        m.d.comb += [
            bursts.i.valid.eq(self.write),
            bursts.i.payload.eq(self.burst),
            watch.add.eq(add),
            watch.got.eq(got),
            watch.tick.eq(self.tick),
            watch.waits.eq(self.waiting != 0),
            self.lost.eq(watch.lost),
        ]
        m.d.sync += [
            add.eq(Mux(self.write & self.burst.sent, self.burst.rows_1 + 1, 0)),
            got.eq(self.got & watch.owes),
            self.waiting.eq(self.waiting + add - (self.feed & current.sent)),
        ]

        valid = Signal()
        left = Signal(range(self.burst_rows), reset_less=True)
        first = Signal(reset_less=True)
        last = Signal(reset_less=True)
        m.d.comb += [
            bursts.o.ready.eq(~valid | (self.feed & last)),
            self.takes.eq(valid & current.sent & ~self.lost),
            self.drops.eq(self.lost | ~watch.owes),
            self.makes.eq(valid & (~current.sent | self.lost)),
            self.row.first.eq(first),
            self.row.last.eq(last),
            *(
                self.row[name].eq(current[name])
                for name in ("shift", "end", "begins", "ends", "flush", "request_tag")
            ),
            self.status.eq(Mux(current.flush & ~self.lost, MemoryStatus.OK, MemoryStatus.TIMEOUT)),
        ]
        with m.If(bursts.o.ready):
            m.d.sync += [
                valid.eq(bursts.o.valid),
                current.eq(bursts.o.payload),
                left.eq(bursts.o.p.rows_1),
                first.eq(1),
                last.eq(bursts.o.p.rows_1 == 0),
            ]
        with m.Elif(self.feed):
            m.d.sync += [left.eq(left - 1), first.eq(0), last.eq(left == 1)]
        return m
