"""Bits of each MSI-X vector, in rows of memories that are read without a clock."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .msix_parts import (
    MsixArrivalLayout,
    MsixSentLayout,
    check_vectors,
    row_bits,
    row_count,
    row_shape,
)

__all__ = ["MsixRows"]


class _Bits(wiring.Component):
    """A bit of each vector: one row is written in a cycle, several are read.

    Flip-flops for two rows, which is what a memory of that size would become anyhow, but with
    names for the proofs; else a memory.

    Members
    -------
    write, write_row, write_data : In
        A row to write.
    row : In(row_shape).array(read_count)
        Rows to read.
    data : Out(row_bits).array(read_count)
        What is in them, combinational; without what is written in this cycle.
    """

    write: Signal
    write_row: Signal
    write_data: Signal
    row: list[Signal]
    data: list[Signal]

    def __init__(self, vector_count: int, read_count: int):
        self.depth = row_count(vector_count)
        self.width = row_bits(vector_count)
        self.rows: list[Signal] = []
        if self.depth == 2:
            self.rows = [Signal(self.width, name=f"row_{n}", reset_less=True) for n in range(2)]
        super().__init__(
            {
                "write": In(1),
                "write_row": In(row_shape(vector_count)),
                "write_data": In(self.width),
                "row": In(row_shape(vector_count)).array(read_count),
                "data": Out(self.width).array(read_count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.rows:
            for number, value in enumerate(self.rows):
                with m.If(self.write & (self.write_row == number)):
                    m.d.sync += value.eq(self.write_data)
            for row, found in zip(self.row, self.data, strict=True):
                m.d.comb += found.eq(Mux(row[0], self.rows[1], self.rows[0]))
            return m
        m.submodules.memory = memory = Memory(shape=unsigned(self.width), depth=self.depth, init=[])
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_row),
            write.data.eq(self.write_data),
        ]
        for row, found in zip(self.row, self.data, strict=True):
            read = memory.read_port(domain="comb")
            m.d.comb += [read.addr.eq(row), found.eq(read.data)]
        return m


class MsixRows(wiring.Component):
    """Know of each vector whether it is pending, masked, held, and whether its hold is over.

    A vector is pending while two marks differ: an event makes the first the opposite of the
    second, a message makes the second equal to the first. So each memory has one writer, and an
    event in the cycle of a message belongs to that message or to the next, never to none. Held is
    made in the same way of a mark that messages write and one that the timer writes.

    Changes take effect at the end of their cycle. Throughput is one event, one message, one
    release, one visit and one write of a mask row per cycle, of any vectors; but no release of
    a vector in the cycle of its message.

    Specification: this docstring.

    Parameters
    ----------
    vector_count : int
        Vectors.
    interval_bits : int
        Of moderation intervals.

    Members
    -------
    clear : In(1), clear_row : In(row_shape)
        Put a row back to what it is after reset: nothing pending or held, all masked. Nothing
        else is asked meanwhile.
    arrival : In(MsixArrivalLayout)
        An event.
    was_pending : Out(1)
        Whether ``arrival.vector`` is pending, without this event. Combinational.
    visit_row : In(row_shape)
        Row to look at.
    pending, masked, due : Out(row_bits)
        Of that row, combinational: which are pending; are masked; may send a message.
    mask_write : In(1), mask_row : In(row_shape), mask_data : In(row_bits)
        New mask bits of a row.
    sent : In(MsixSentLayout)
        A pending vector has sent its message.
    release : In(1), release_vector : In(vector_shape)
        End the hold of a vector.
    held : Out(1)
        Whether ``release_vector`` is held. Combinational.
    """

    clear: Signal
    clear_row: Signal
    arrival: data.View
    was_pending: Signal
    visit_row: Signal
    pending: Signal
    masked: Signal
    due: Signal
    mask_write: Signal
    mask_row: Signal
    mask_data: Signal
    sent: data.View
    release: Signal
    release_vector: Signal
    held: Signal

    def __init__(self, *, vector_count: int, interval_bits: int):
        check_vectors(vector_count, interval_bits)
        self.vector_count = vector_count
        self.width = row_bits(vector_count)
        # How many rows of each are read in a cycle. An attribute for the proofs.
        reads = {"asked": 2, "urgent": 2, "answered": 3, "mask": 1, "held": 3, "released": 3}
        self._memories = {name: _Bits(vector_count, count) for name, count in reads.items()}
        row = row_shape(vector_count)
        sent = MsixSentLayout(vector_count, interval_bits)
        super().__init__(
            {
                "clear": In(1),
                "clear_row": In(row),
                "arrival": In(MsixArrivalLayout(vector_count)),
                "was_pending": Out(1),
                "visit_row": In(row),
                "pending": Out(self.width),
                "masked": Out(self.width),
                "due": Out(self.width),
                "mask_write": In(1),
                "mask_row": In(row),
                "mask_data": In(self.width),
                "sent": In(sent),
                "release": In(1),
                "release_vector": In(sent["vector"].shape),
                "held": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arrival, sent = self.arrival, self.sent
        arrival_row, sent_row = arrival.vector[5:], sent.vector[5:]
        release_row = self.release_vector[5:]

        def bits(name: str, write: Value, row: Value, value: Value, *reads: Value) -> list[Signal]:
            """Make the memory ``name``; return what it has in the rows ``reads``."""
            m.submodules[name] = memory = self._memories[name]
            m.d.comb += [
                memory.write.eq(write | self.clear),
                memory.write_row.eq(Mux(self.clear, self.clear_row, row)),
                memory.write_data.eq(value),
                *(port.eq(read) for port, read in zip(memory.row, reads, strict=True)),
            ]
            return memory.data

        def one(name: str, vector: Value) -> Signal:
            """Make a row in which only ``vector``'s bit is set."""
            selected = Signal(self.width, name=name)
            m.d.comb += selected.eq(1 << vector[:5])
            return selected

        def value(name: str) -> Signal:
            return Signal(self.width, name=name)

        arriving = arrival.bit
        sending = one("sending", sent.vector)
        releasing = one("releasing", self.release_vector)

        asked, urgent, answered = value("new_asked"), value("new_urgent"), value("new_answered")
        mask, held, released = value("new_mask"), value("new_held"), value("new_released")
        a_asked, v_asked = bits(
            "asked", arrival.valid, arrival_row, asked, arrival_row, self.visit_row
        )
        a_urgent, v_urgent = bits(
            "urgent", arrival.valid, arrival_row, urgent, arrival_row, self.visit_row
        )
        s_answered, a_answered, v_answered = bits(
            "answered", sent.valid, sent_row, answered, sent_row, arrival_row, self.visit_row
        )
        (v_mask,) = bits("mask", self.mask_write, self.mask_row, mask, self.visit_row)
        holds = sent.valid & (sent.interval != 0)
        s_held, r_held, v_held = bits(
            "held", holds, sent_row, held, sent_row, release_row, self.visit_row
        )
        r_released, s_released, v_released = bits(
            "released", self.release, release_row, released, release_row, sent_row, self.visit_row
        )

        was_pending = Signal()
        ends_hold = Signal()
        m.d.comb += [
            was_pending.eq(((a_asked ^ a_answered) & arriving).any()),
            self.was_pending.eq(was_pending),
            ends_hold.eq(Mux(was_pending, arrival.again, arrival.first)),
            self.pending.eq(v_asked ^ v_answered),
            self.masked.eq(v_mask),
            self.due.eq(self.pending & ~v_mask & (~(v_held ^ v_released) | v_urgent)),
            self.held.eq(((r_held ^ r_released) & releasing).any()),
        ]
        with m.If(self.clear):
            m.d.comb += mask.eq(-1)  # the others are 0
        with m.Else():
            m.d.comb += [
                asked.eq((a_asked & ~arriving) | (~a_answered & arriving)),
                urgent.eq((a_urgent & ~arriving) | Mux(ends_hold, arriving, 0)),
                # It is pending, so that its marks differ.
                answered.eq(s_answered ^ sending),
                mask.eq(self.mask_data),
                held.eq((s_held & ~sending) | (~s_released & sending)),
                # It is held, so that its marks differ.
                released.eq(r_released ^ releasing),
            ]
        return m
