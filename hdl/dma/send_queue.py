"""Queue of one class of TLPs that an endpoint sends."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import TlpBeatLayout, TlpSegmentLayout, data_credits
from .send_parts import SendPartLayout

__all__ = ["SendQueue"]


class SendQueue(wiring.Component):
    """Hold TLPs of one class until they are whole and those before them have gone.

    A beat is a row. A row's part behind its last eop, its tail, waits for the rest of its TLP; the
    lanes in front of the tail do not. What is offered of a TLP is therefore followed by its other
    rows without a pause. A TLP that ends as nullified is never offered, and neither are segments
    that follow no sop: the rest of a TLP that was cut off by ``clear``. A TLP of more rows than
    ``longest`` is taken and dropped, too, so that it cannot fill the queue.

    Rows also wait for rows of another queue, the posted one: ``wait_for`` tells, of that queue,
    what has come, ``left`` what has gone, both as counts of rows with an eop modulo their width. A
    TLP is offered when all that had come when its last beat was taken has gone.

    That is found by a walk over the rows, one a cycle, which looks at a row's count once. The walk
    never waits for what is offered, so a count that it looks at is at most ``rows`` cycles older
    than it might be, and half of the range is enough: nothing that stands still for long, for
    want of credits, is ever compared with a count that has gone round.

    Latency is 3 cycles from a TLP's last beat to ``o``. Throughput is 1 row per cycle.

    Specification: this docstring; PCI Express Base Specification, 2.4.1 (what may not pass posted
    requests), 3.6.3 (nullified TLPs).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    longest : int
        Rows of the longest TLP, 1 or more.
    rows : int
        Rows, more than ``longest``: 8 more for the full rate.
    count_bits : int
        Width of the counts: ``2**(count_bits - 1)`` exceeds the rows of both queues.
    carries_data : bool
        Whether segments have data; otherwise it leaves as 0.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Well-formed TLPs of one class. ``i.ready`` is registered.
    clear : In(1)
        Forget everything.
    wait_for, left : In(count_bits)
        See above; 0 if there is nothing to wait for. Registered where they come from.
    came : Out(count_bits)
        Rows with an eop that have come. Registered.
    empty : Out(1)
        No row is held. From registers.
    o : Out(stream.Signature(SendPartLayout(segment_count)))
        Parts of rows in order, registered.
    take, take_last : In(1)
        Some of the oldest row that was offered goes now; it was its last.
    segments : Out(array of segment_count of TlpSegmentLayout)
        That row, in the second cycle after ``take``. Registered.

    Attributes
    ----------
    write_place, walk_place, read_place, free_place : Signal
        State: rows written next, walked over next, offered next, taken next.
    room : Signal
        State: free rows.
    is_open, open_place, walked_open, walked_open_place : Signal
        State: a TLP goes on behind the row written last, and the row it begins in; the same of
        the row walked over last.
    stores : Signal
        A row is written.
    waits : Memory
        What each row waits for.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    clear: Signal
    wait_for: Signal
    left: Signal
    came: Signal
    empty: Signal
    o: stream.Interface
    take: Signal
    take_last: Signal
    segments: data.View

    def __init__(
        self, *, segment_count: int, longest: int, rows: int, count_bits: int, carries_data: bool
    ):
        beat = TlpBeatLayout(segment_count)
        if longest < 1:
            raise ValueError(f"longest must be 1 or more, not {longest!r}")
        if rows <= longest:
            raise ValueError(f"rows must be more than {longest}, not {rows!r}")
        if rows >= 1 << (count_bits - 1):
            raise ValueError(f"count_bits must be more than {rows} rows need, not {count_bits!r}")
        self.segment_count = segment_count
        self.longest = longest
        self.rows = rows
        self.count_bits = count_bits
        self.carries_data = carries_data
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "clear": In(1),
                "wait_for": In(count_bits),
                "left": In(count_bits),
                "came": Out(count_bits),
                "empty": Out(1),
                "o": Out(stream.Signature(SendPartLayout(segment_count))),
                "take": In(1),
                "take_last": In(1),
                "segments": Out(data.ArrayLayout(TlpSegmentLayout(), segment_count)),
            }
        )
        # One row more than is used: addresses that are equal mean that there is nothing between.
        self.write_place = Signal(range(rows + 1))
        self.walk_place = Signal(range(rows + 1))
        self.read_place = Signal(range(rows + 1))
        self.free_place = Signal(range(rows + 1))
        self.room = Signal(range(rows + 1), init=rows)
        self.is_open = Signal()
        self.open_place = Signal(range(rows + 1))
        self.walked_open = Signal()
        self.walked_open_place = Signal(range(rows + 1))
        self.stores = Signal()
        layout = data.StructLayout({"wait_for": count_bits, "tail": 1, "begins": 1})
        self.waits = Memory(shape=layout, depth=rows + 1, init=[])

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        lanes = range(count)
        segments = list(self.i.p.segments)
        m.d.comb += self.empty.eq(self.room == self.rows)

        # Which lanes belong to what. `tail`: of the TLP that goes on behind this beat.
        live = Signal(count)
        eops = Signal(count)
        tail = Signal(count)
        good = Signal(count)
        begins = Signal()
        is_long = Signal()  # the row that comes is one too many
        sops = Cat(self.i.p.valid[n] & segments[n].sop for n in lanes)
        m.d.comb += [
            live.eq(
                Cat(
                    self.i.p.valid[n] & ((self.is_open & ~is_long) | sops[: n + 1].any())
                    for n in lanes
                )
            ),
            eops.eq(live & Cat(segment.eop for segment in segments)),
            tail.eq(Cat(live[n] & ~eops[n:].any() for n in lanes)),
            begins.eq((tail & sops).any()),
        ]
        is_nullified: Value = C(0, 1)
        nullified: list[Value] = []
        for n in reversed(lanes):
            is_nullified = Mux(eops[n], segments[n].nullified, is_nullified)
            nullified.insert(0, is_nullified)
        m.d.comb += good.eq(Cat(live[n] & ~tail[n] & ~nullified[n] for n in lanes))

        takes = Signal()
        ended = Signal()
        stores = self.stores
        m.d.comb += [
            self.i.ready.eq(self.room.any()),
            takes.eq(self.i.valid & self.i.ready),
            ended.eq(takes & self.is_open & (eops.any() | is_long)),
            # The end of a TLP is a row, though it may have no lane: the walk has to see it.
            stores.eq(takes & ((good | tail).any() | ended)),
        ]
        with m.If(takes & (live.any() | is_long)):
            m.d.sync += self.is_open.eq(tail.any())
        open_rows = Signal(range(self.longest + 1))
        with m.If(takes):
            m.d.sync += [
                open_rows.eq(Mux(begins, 1, open_rows + 1)),
                is_long.eq(Mux(begins, self.longest == 1, open_rows == self.longest - 1)),
            ]
        with m.If(takes & begins):
            m.d.sync += self.open_place.eq(self.write_place)
        m.submodules.verdicts = verdicts = Memory(shape=1, depth=self.rows + 1, init=[])
        write_verdict = verdicts.write_port()
        read_verdict = verdicts.read_port(domain="comb")
        m.d.comb += [
            write_verdict.en.eq(ended),
            write_verdict.addr.eq(self.open_place),
            write_verdict.data.eq(is_long | nullified[0]),
            read_verdict.addr.eq(self.read_place),
        ]
        with m.If(takes & good.any()):
            m.d.sync += self.came.eq(self.came + 1)

        # The place behind the last row is free at any time: what is written there does not matter
        # until `stores`, which would come too late for a RAM.
        self._store_segments(m)
        row_layout = data.StructLayout(
            {
                "good": count,
                "tail": count,
                "begins": 1,
                "sop": count,
                "eop": count,
                "cost": data.ArrayLayout(9, count),
            }
        )
        m.submodules.rows = memory = Memory(shape=row_layout, depth=self.rows + 1, init=[])
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(self.write_place),
            write.data.good.eq(good),
            write.data.tail.eq(tail),
            write.data.begins.eq(begins),
            write.data.sop.eq(sops),
            write.data.eop.eq(eops),
            *(
                write.data.cost[n].eq(data_credits(segment.header))
                for n, segment in enumerate(segments)
            ),
            read.addr.eq(self.read_place),
        ]
        frees = self.take & self.take_last
        m.d.sync += self.room.eq(self.room - stores + frees)
        with m.If(stores):
            m.d.sync += self.write_place.eq(self._after(self.write_place))

        # The walk: the same view of the rows as the write side has, when their turn has come.
        self._walk(m, tail.any(), begins)
        self._offer(
            m,
            read.data,
            read_verdict.data,
            self.walked_open & (self.read_place == self.walked_open_place),
        )

        with m.If(self.clear):
            m.d.sync += [
                *(
                    place.eq(0)
                    for place in (
                        self.write_place,
                        self.walk_place,
                        self.read_place,
                        self.free_place,
                    )
                ),
                self.room.eq(self.rows),
                self.is_open.eq(0),
                self.walked_open.eq(0),
                self.came.eq(0),
                self.o.valid.eq(0),
            ]
        return m

    def _after(self, place: Value) -> Value:
        return Mux(place == self.rows, 0, place + 1)

    def _store_segments(self, m: Module) -> None:
        """Keep the segments, and give them when they are taken."""
        count = self.segment_count
        layout = TlpSegmentLayout()
        skipped = 0 if self.carries_data else layout["data"].width
        kept = [Value.cast(segment)[skipped:] for segment in self.i.p.segments]
        size = layout.size - skipped
        # A row is never read while it is written. In small RAMs it would take most of the logic.
        m.submodules.segments = memory = Memory(
            shape=count * size,
            depth=self.rows + 1,
            init=[],
            attrs={"no_rw_check": "1", "ram_style": "block"},
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        row = Signal(count * size, reset_less=True)
        registered = Signal.like(row)  # a block RAM's output is late
        m.d.sync += registered.eq(row)
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(self.write_place),
            write.data.eq(Cat(kept)),
            read.addr.eq(self.free_place),
        ]
        with m.If(self.take):
            m.d.sync += row.eq(read.data)
        for n in range(count):
            m.d.comb += Value.cast(self.segments[n])[skipped:].eq(
                registered[n * size : (n + 1) * size]
            )
        with m.If(self.take & self.take_last):
            m.d.sync += self.free_place.eq(self._after(self.free_place))

    def _walk(self, m: Module, has_tail: Value, begins: Value) -> None:
        """Go on to the next row when what it waits for has left."""
        m.submodules.waits = self.waits
        write = self.waits.write_port()
        read = self.waits.read_port(domain="comb")
        behind = Signal(self.count_bits)
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(self.write_place),
            write.data.wait_for.eq(self.wait_for),
            write.data.tail.eq(has_tail),
            write.data.begins.eq(begins),
            read.addr.eq(self.walk_place),
            behind.eq(self.left - read.data.wait_for),
        ]
        with m.If((self.walk_place != self.write_place) & ~behind[-1]):
            m.d.sync += [
                self.walk_place.eq(self._after(self.walk_place)),
                self.walked_open.eq(read.data.tail),
            ]
            with m.If(read.data.begins):
                m.d.sync += self.walked_open_place.eq(self.walk_place)

    def _offer(self, m: Module, row: data.View, bad: Value, waits: Value) -> None:
        """Offer the next row, or of one whose tail waits what is in front of it."""
        part = Signal(SendPartLayout(self.segment_count), reset_less=True)
        m.d.comb += self.o.payload.eq(part)
        is_split = Signal()
        dropped_before = Signal()
        drops = Signal()
        offered = Signal(self.segment_count)
        m.d.comb += drops.eq(Mux(row.begins, bad, dropped_before))
        tail = row.tail & ~drops.replicate(self.segment_count)
        front = row.good & ~is_split.replicate(self.segment_count)
        m.d.comb += offered.eq(Mux(waits, front, front | tail))
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(0),
                part.last.eq(~waits),
                *(
                    field.eq(value)
                    for n in range(self.segment_count)
                    for field, value in (
                        (part.lanes[n].valid, offered[n]),
                        (part.lanes[n].sop, row.sop[n]),
                        (part.lanes[n].eop, row.eop[n]),
                        (part.lanes[n].cost, row.cost[n]),
                    )
                ),
            ]
            with m.If(self.read_place != self.walk_place):
                m.d.sync += [
                    self.o.valid.eq(~waits | offered.any()),
                    is_split.eq(waits),
                ]
                with m.If(~waits):
                    m.d.sync += [
                        self.read_place.eq(self._after(self.read_place)),
                        dropped_before.eq(drops),
                    ]
        with m.If(self.clear):
            m.d.sync += is_split.eq(0)
