"""State of each queue pair, as every packet finds it and leaves it."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["StateTable"]


class StateTable(wiring.Component):
    """Hold a row for each queue pair; let those who want it take turns.

    A turn begins every second cycle, in that in which ``phase`` is low. Whoever has it gets the row
    2 cycles later and writes it ``write_cycles`` after its turn began, or, if it said ``late``,
    perhaps only ``late_cycles`` after. The next turn with the same row begins after that, in the
    next cycle or the next but one: until then who wants it waits. So each finds what the one before
    left, without forwarding; and the two kinds of writes are in different cycles, so one port is
    enough.

    Latency is 2 cycles. Throughput is a turn every 2 cycles; for one row every ``write_cycles + 1``
    cycles, behind a late one every ``late_cycles + 2``.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of a row.
    depth : int
        Rows, 2 or more.
    write_cycles, late_cycles : int
        When rows are written: odd, 3 or more, and even, more than that.

    Members
    -------
    phase : Out(1)
        High every second cycle.
    clear, cleared : In(1), In(range(depth))
        Write 0 to a row; nobody may have a turn.
    wants, index, late : In(1), In(range(depth)), In(1)
        Somebody wants the row ``index``, and may write it late.
    turn : Out(1)
        It has its turn. Combinational from ``wants``, ``index`` and ``phase``.
    row : Out(shape)
        Row of the turn that began 2 or 3 cycles before.
    write, write_index, write_row : In(1), In(range(depth)), In(shape)
        Write; ``write_cycles`` after a turn began, thus while ``phase`` is high.
    late_write, late_index, late_row : In(1), In(range(depth)), In(shape)
        Write late; ``late_cycles`` after a turn began, thus while ``phase`` is low.

    Raises
    ------
    ValueError
        If ``write_cycles`` or ``late_cycles`` is not as it has to be.
    """

    phase: Signal
    clear: Signal
    cleared: Signal
    wants: Signal
    index: Signal
    late: Signal
    turn: Signal
    row: Any
    write: Signal
    write_index: Signal
    write_row: Any
    late_write: Signal
    late_index: Signal
    late_row: Any

    def __init__(self, *, shape: ShapeLike, depth: int, write_cycles: int, late_cycles: int):
        if write_cycles < 3 or not write_cycles % 2:
            raise ValueError(f"write_cycles must be odd, 3 or more, not {write_cycles!r}")
        if late_cycles < write_cycles or late_cycles % 2:
            raise ValueError(f"late_cycles must be even, more than that, not {late_cycles!r}")
        self.write_cycles = write_cycles
        self.late_cycles = late_cycles
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "phase": Out(1),
                "clear": In(1),
                "cleared": In(range(depth)),
                "wants": In(1),
                "index": In(range(depth)),
                "late": In(1),
                "turn": Out(1),
                "row": Out(shape),
                "write": In(1),
                "write_index": In(range(depth)),
                "write_row": In(shape),
                "late_write": In(1),
                "late_index": In(range(depth)),
                "late_row": In(shape),
            }
        )
        # Turns that began 2, 4, ... cycles ago; proofs state their invariants.
        taken = data.StructLayout({"valid": 1, "index": range(depth), "late": 1})
        self._taken: list[Any] = [
            Signal(taken, name=f"taken_{2 * step}") for step in range(1, late_cycles // 2 + 1)
        ]

    def elaborate(self, platform):
        m = Module()
        bits = Shape.cast(self.shape).width
        m.submodules.rows = rows = Memory(
            shape=unsigned(bits), depth=self.depth, init=[], attrs={"no_rw_check": "1"}
        )
        write = rows.write_port()
        # The first register becomes the memory's own, as in hdl.memory.
        read = rows.read_port(domain="comb")
        fetched = Signal(bits, reset_less=True)
        row = Signal(bits, reset_less=True)
        phase = Signal()
        # High where that is low: what is written has a register of its own, for it goes far.
        is_late = Signal(init=1)
        m.d.sync += [phase.eq(~phase), is_late.eq(phase)]
        m.d.comb += self.phase.eq(phase)

        busy = Cat(
            turn.valid
            & (turn.index == self.index)
            & (turn.late if 2 * step + 2 > self.write_cycles else 1)
            for step, turn in enumerate(self._taken)
        )
        m.d.comb += [
            self.turn.eq(self.wants & ~busy.any() & ~phase & ~self.clear),
            read.addr.eq(self.index),
            Value.cast(self.row).eq(row),
        ]
        m.d.sync += [fetched.eq(Mux(phase, fetched, read.data)), row.eq(fetched)]
        with m.If(~phase):
            m.d.sync += [
                self._taken[0].eq(Cat(self.turn, self.index, self.late)),
                *(after.eq(before) for before, after in pairwise(self._taken)),
            ]

        with m.If(self.clear):
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(self.cleared),
                write.data.eq(0),
            ]
        with m.Elif(is_late):
            m.d.comb += [
                write.en.eq(self.late_write),
                write.addr.eq(self.late_index),
                write.data.eq(Value.cast(self.late_row)),
            ]
        with m.Else():
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.write_index),
                write.data.eq(Value.cast(self.write_row)),
            ]
        return m
