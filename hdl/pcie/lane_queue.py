"""Queue of what is known of the rows of a crosspoint."""

from typing import Any

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
    take : In(1), whole : In(1)
        Take what ``needs.first`` says of the head, or with ``whole`` all that is left. Only while
        ``valid``. ``take`` may be late in the cycle.
    valid : Out(1), head : Out(RowLayout), head_note : Out(note_bits)
        First row, without the lanes that were taken; registered.
    needs : Out(HeadNeedsLayout(segment_count))
        ``needs_of`` the head; registered.
    fresh : Out(1)
        The head is in its first cycle; registered.
    pop : Out(1)
        The head's last lanes are taken.
    """

    write: Signal
    lanes: data.View
    note: Signal
    take: Signal
    whole: Signal
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
                "take": In(1),
                "whole": In(1),
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
        first_is_all = Signal(reset_less=True)
        empties = Signal()  # if it is taken from
        advances = Signal()
        queues = Signal()
        reads = Signal()

        def moves(advance: Value) -> Value:
            queue = self.write & (second | ~advance)
            return Cat(advance, queue, Mux(second, advance & (waiting | self.write), queue))

        # All is worked out for both cases before `take` tells which it is.
        m.d.comb += [
            waiting.eq(ram.read_address != ram.write_address),
            empties.eq(self.whole | first_is_all),
            self.pop.eq(self.take & empties),
            Cat(advances, queues, reads).eq(Mux(self.take, moves(empties), moves(~self.valid))),
            ram.write_lanes.eq(queues),
            ram.write_data.eq(Cat(lanes, self.note)),
            ram.read_en.eq(reads),
        ]
        for address, moved in ((ram.write_address, queues), (ram.read_address, reads)):
            pointer = Signal.like(address, name=f"{address.name}_pointer")
            m.d.comb += address.eq(pointer)
            step(m, pointer, self.rows, moved)

        row = Signal.like(head, name="row")
        m.d.comb += row.eq(Mux(second, ram.read_data, ram.write_data))
        row_lanes: Any = data.View(RowLayout(self.segment_count), row[: len(lanes)])
        m.d.sync += [self.fresh.eq(advances), second.eq(reads | (second & ~advances))]
        with m.If(advances):
            m.d.sync += [self.valid.eq(second | self.write), head.eq(row)]

        # What is the head next and what it asks for: this row without `first`, or the one behind.
        needs = Signal(HeadNeedsLayout(self.segment_count), reset_less=True)
        rest: Any = Signal(RowLayout(self.segment_count))
        m.d.comb += [self.needs.eq(needs), Value.cast(rest).eq(head[: len(lanes)])]
        for n in range(self.segment_count):
            m.d.comb += rest[n].valid.eq(remaining[n] & ~needs.first[n])
        choices = []
        for choice in (rest, row_lanes):
            left = Cat(lane.valid for lane in choice)
            wants = needs_of(choice, self.segment_count)
            choices.append(Cat(left, wants, (left & ~wants[: self.segment_count]) == 0))
        with m.If(self.take | ~self.valid):
            m.d.sync += Cat(remaining, Value.cast(needs), first_is_all).eq(
                Mux(empties | ~self.valid, choices[1], choices[0])
            )
        return m
