"""Queue of what is known of the rows of a crosspoint."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .parts import HeadNeedsLayout, RowLayout, needs_of

__all__ = ["LaneQueue", "step"]


def step(m: Module, pointer: Signal, rows: int, moves: Value) -> None:
    """Move ``pointer`` to the next of ``rows`` rows; ``moves`` may be late in the cycle."""
    following = Signal.like(pointer, name=f"{pointer.name}_next")
    m.d.comb += following.eq(Mux(pointer == rows - 1, 0, pointer + 1))
    with m.If(moves):
        m.d.sync += pointer.eq(following)


class LaneQueue(wiring.Component):
    """Hold what is known of rows, with the first one in a register.

    Latency is 1 cycle. Throughput is 1 row per cycle in and out. A RAM with a clocked read port
    holds what waits behind the head; its read register is the second place.

    Parameters
    ----------
    segment_count, rows : int
        Lanes of a row; rows that it holds, 2 or more.
    note_bits : int
        Width of what goes with a row unchanged.

    Members
    -------
    write : In(1), lanes : In(RowLayout), note : In(note_bits)
        A row with a valid lane; nothing checks that there is room.
    take : In(segment_count)
        Lanes of the head to take, of the valid ones.
    valid : Out(1), head : Out(RowLayout), head_note : Out(note_bits)
        First row, without the lanes that were taken; registered.
    needs : Out(HeadNeedsLayout(segment_count))
        ``needs_of`` the head; registered. It follows ``take`` if that is all that is left, or what
        ``needs.first`` says.
    fresh : Out(1)
        The head is in its first cycle; registered.
    pop : Out(1)
        The head's last lanes are taken.
    """

    write: Signal
    lanes: data.View
    note: Signal
    take: Signal
    valid: Signal
    head: data.View
    head_note: Signal
    needs: data.View
    fresh: Signal
    pop: Signal

    def __init__(self, *, segment_count: int, rows: int, note_bits: int):
        self.segment_count = segment_count
        self.rows = rows
        super().__init__(
            {
                "write": In(1),
                "lanes": In(RowLayout(segment_count)),
                "note": In(note_bits),
                "take": In(segment_count),
                "valid": Out(1),
                "head": Out(RowLayout(segment_count)),
                "head_note": Out(note_bits),
                "needs": Out(HeadNeedsLayout(segment_count)),
                "fresh": Out(1),
                "pop": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # What changes while a row is the head is beside the rest of it.
        lanes = Value.cast(self.lanes)
        head = Signal(len(lanes) + len(self.note), reset_less=True)
        remaining = Signal(self.segment_count)
        m.d.comb += [
            Value.cast(self.head).eq(head[: len(lanes)]),
            self.head_note.eq(head[len(lanes) :]),
        ]
        for lane in range(self.segment_count):
            m.d.comb += self.head[lane].valid.eq(remaining[lane])

        m.submodules.ram = ram = SimpleDualPortRam(
            shape=len(head), depth=self.rows, lane_count=1, latency=1, bypass=True
        )
        # `second`: the RAM's read register holds the second row. Otherwise there are none behind
        # the head, so a row that comes goes to the head or, past the RAM, to that register.
        second = Signal()
        waiting = Signal()
        advances = Signal()
        queues = Signal()
        m.d.comb += [
            self.pop.eq(self.valid & ~(remaining & ~self.take).any()),
            advances.eq(self.pop | ~self.valid),
            queues.eq(self.write & (second | ~advances)),
            waiting.eq(ram.read_address != ram.write_address),
            ram.write_lanes.eq(queues),
            ram.write_data.eq(Cat(lanes, self.note)),
            ram.read_en.eq(Mux(second, advances & (waiting | self.write), queues)),
        ]
        for address, moves in ((ram.write_address, queues), (ram.read_address, ram.read_en)):
            pointer = Signal.like(address, name=f"{address.name}_pointer")
            m.d.comb += address.eq(pointer)
            step(m, pointer, self.rows, moves)

        row = Signal.like(head, name="row")
        m.d.comb += row.eq(Mux(second, ram.read_data, ram.write_data))
        row_lanes = data.View(RowLayout(self.segment_count), row[: len(lanes)])
        # What is asked for next is added up for both cases, before `take` tells which it is.
        needs = Signal(HeadNeedsLayout(self.segment_count), reset_less=True)
        rest = Signal(RowLayout(self.segment_count))
        m.d.comb += [self.needs.eq(needs), Value.cast(rest).eq(head[: len(lanes)])]
        for n in range(self.segment_count):
            m.d.comb += rest[n].valid.eq(remaining[n] & ~needs.first[n])
        m.d.sync += [self.fresh.eq(advances), second.eq(ram.read_en | (second & ~advances))]
        with m.If(advances):
            m.d.sync += [
                self.valid.eq(second | self.write),
                head.eq(row),
                remaining.eq(Cat(lane.valid for lane in row_lanes)),
                needs.eq(needs_of(row_lanes, self.segment_count)),
            ]
        with m.Else():
            m.d.sync += remaining.eq(remaining & ~self.take)
            with m.If(self.take.any()):
                m.d.sync += needs.eq(needs_of(rest, self.segment_count))
        return m
