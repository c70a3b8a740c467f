"""Accesses of software to the MSI-X table, pending bits and moderation, one at a time."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from ..register import WindowSignature
from .msix_parts import (
    INTERVAL_FIELD_BITS,
    LIMIT_BITS,
    ROW_VECTORS,
    VECTOR_BITS,
    MsixAccessLayout,
    msix_table,
    row_bits,
    row_count,
    row_shape,
    vector_shape,
)

__all__ = ["MsixBus"]

#: So long an access waits for what is on its way; then it is sent back to be pending.
PATIENCE_CYCLES = 64
#: So long after an access rows are looked at before the next.
GAP_CYCLES = 8


class _Place(enum.Enum, shape=3):
    """What an access is for: words of an entry, as in the table, and what is elsewhere."""

    ADDRESS = 0
    UPPER = 1
    DATA = 2
    CONTROL = 3
    MODERATION = 4
    PENDING = 5


class MsixBus(wiring.Component):
    """Put what is in memories to its state after reset; then serve three windows.

    An access stops the sender between two messages: it holds it until nothing is on its way, at
    most 64 cycles, and sends back what then still is. So all that is looked at of an entry is of
    one time, and no message begins of what was looked at before a write. Then for 8 cycles there
    is no access.

    Latency is 5 cycles from a request to its acceptance while nothing is on its way, 68 at most;
    what was read follows in the next cycle. Nothing is served until ``started``, as many cycles
    after reset as there are vectors, 64 at least.

    Specification: PCI Express Base Specification, 7.7.2: reserved bits read 0.

    Parameters
    ----------
    vector_count : int
        Vectors.
    interval_bits : int
        Of moderation intervals.

    Members
    -------
    table, pending, moderation : In(WindowSignature(...))
        Windows of ``msix_table(vector_count)``.
    started : Out(1)
        All is as it is after reset. Registered.
    clear : Out(1), clear_row : Out(row_shape)
        Rows to clear before; registered.
    access : Out(MsixAccessLayout(vector_count))
        To the sender.
    quiet : In(1)
        Nothing is on its way.
    entry : In(32).array(4), pending_row, masked_row : In(row_bits)
        What was asked for by ``access.read``, in the next cycle.
    mask_write : Out(1), mask_row : Out(row_shape), mask_data : Out(row_bits)
        New masks of a row.
    limit_write : Out(1), limit : Out(8)
        New limit of ``access.vector``.
    """

    table: Any
    pending: Any
    moderation: Any
    started: Signal
    clear: Signal
    clear_row: Signal
    access: data.View
    quiet: Signal
    entry: list[Signal]
    pending_row: Signal
    masked_row: Signal
    mask_write: Signal
    mask_row: Signal
    mask_data: Signal
    limit_write: Signal
    limit: Signal

    def __init__(self, *, vector_count: int, interval_bits: int):
        self.vector_count = vector_count
        self.interval_bits = interval_bits
        self.width = row_bits(vector_count)
        row = row_shape(vector_count)
        self._bits = {
            place.entry.name: (place.entry.stride // 4 - 1).bit_length()
            for place in msix_table(vector_count).places()
        }
        super().__init__(
            {
                **{
                    name: In(WindowSignature(self._bits[name]))
                    for name in ("table", "pending", "moderation")
                },
                "started": Out(1),
                "clear": Out(1),
                "clear_row": Out(row),
                "access": Out(MsixAccessLayout(vector_count)),
                "quiet": In(1),
                "entry": In(32).array(4),
                "pending_row": In(self.width),
                "masked_row": In(self.width),
                "mask_write": Out(1),
                "mask_row": Out(row),
                "mask_data": Out(self.width),
                "limit_write": Out(1),
                "limit": Out(LIMIT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        access = self.access
        windows = (self.table, self.pending, self.moderation)

        # One of the requests, and what it is.
        offered = Signal(2 * len(windows))
        chosen = Signal(2 * len(windows))
        m.d.comb += offered.eq(Cat((window.write.valid, window.read.valid) for window in windows))
        for_table, for_pending = chosen[:2].any(), chosen[2:4].any()
        address = Signal(max(self._bits.values()))
        asked = Signal(32)
        for number, window in enumerate(windows):
            with m.If(chosen[2 * number]):
                m.d.comb += [address.eq(window.write.p.address), asked.eq(window.write.p.data)]
            with m.If(chosen[2 * number + 1]):
                m.d.comb += address.eq(window.read.payload)
        whole_vector = Signal(VECTOR_BITS)
        with m.If(for_table):
            m.d.comb += whole_vector.eq(address >> 2)
        with m.Elif(for_pending):
            m.d.comb += whole_vector.eq(address << 5)
        with m.Else():
            m.d.comb += whole_vector.eq(address)

        vector = Signal(vector_shape(self.vector_count))
        known = Signal(reset_less=True)
        clears = Signal(init=1)
        writes = Signal(reset_less=True)
        place = Signal(_Place, reset_less=True)
        word = Signal(32)
        countdown = Signal(range(PATIENCE_CYCLES), reset_less=True)
        seen_pending = Signal(self.width, reset_less=True)
        seen_masked = Signal(self.width, reset_less=True)
        seen_word = Signal(32, reset_less=True)
        found = Signal(32, reset_less=True)
        selected = Signal(self.width)
        lanes = Signal(4)
        m.d.comb += [
            selected.eq(1 << vector[:5]),
            access.vector.eq(vector),
            access.word.eq(word),
            self.clear.eq(clears),
            self.clear_row.eq(vector[5:]),
            self.mask_row.eq(vector[5:]),
            self.mask_data.eq((seen_masked & ~selected) | Mux(word[0], selected, 0)),
            self.limit.eq(word[INTERVAL_FIELD_BITS:]),
        ]
        with m.Switch(place):
            for number, one in enumerate(
                (_Place.ADDRESS, _Place.UPPER, _Place.DATA, _Place.MODERATION)
            ):
                with m.Case(one):
                    m.d.comb += lanes.eq(1 << number)

        with m.FSM(name="state"):
            with m.State("CLEAR"):
                # Entries, too: nobody shall read what was there before.
                last = max(self.vector_count, ROW_VECTORS * row_count(self.vector_count)) - 1
                m.d.comb += [
                    access.write.eq(Mux(vector < self.vector_count, -1, 0)),
                    self.limit_write.eq(vector < self.vector_count),
                ]
                m.d.sync += vector.eq(vector + 1)
                with m.If(vector == last):
                    m.d.sync += [clears.eq(0), self.started.eq(1)]
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.sync += [
                    chosen.eq(offered & ~(offered - 1)),
                    countdown.eq(PATIENCE_CYCLES - 1),
                ]
                with m.If(offered.any()):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.comb += access.hold.eq(1)
                m.d.sync += [
                    vector.eq(whole_vector),
                    known.eq(whole_vector < self.vector_count),
                    writes.eq(Cat(chosen[n] for n in (0, 2, 4)).any()),
                    word.eq(asked),
                ]
                with m.If(for_table):
                    m.d.sync += place.eq(address[:2])
                    with m.If(address[:2] == _Place.ADDRESS):
                        m.d.sync += word[:2].eq(0)
                with m.Elif(for_pending):
                    m.d.sync += place.eq(_Place.PENDING)
                with m.Else():
                    m.d.sync += place.eq(_Place.MODERATION)
                    for bit in range(32):
                        if not (
                            bit < self.interval_bits or 0 <= bit - INTERVAL_FIELD_BITS < LIMIT_BITS
                        ):
                            m.d.sync += word[bit].eq(0)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += access.hold.eq(1)
                m.d.sync += countdown.eq(countdown - 1)
                with m.If(self.quiet | (countdown == 0)):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += [access.hold.eq(1), access.flush.eq(1), access.read.eq(1)]
                m.next = "SEE"
            with m.State("SEE"):
                m.d.comb += [access.hold.eq(1), access.flush.eq(1)]
                m.d.sync += [
                    seen_pending.eq(self.pending_row),
                    seen_masked.eq(self.masked_row),
                    seen_word.eq(Mux(place == _Place.MODERATION, self.entry[3], self.entry[0])),
                ]
                with m.If(place == _Place.UPPER):
                    m.d.sync += seen_word.eq(self.entry[1])
                with m.If(place == _Place.DATA):
                    m.d.sync += seen_word.eq(self.entry[2])
                m.next = "DO"
            with m.State("DO"):
                m.d.comb += [access.hold.eq(1), access.flush.eq(1)]
                with m.If(writes & known):
                    m.d.comb += [
                        access.write.eq(lanes),
                        self.mask_write.eq(place == _Place.CONTROL),
                        self.limit_write.eq(place == _Place.MODERATION),
                    ]
                m.d.sync += found.eq(seen_word)
                with m.If(place == _Place.CONTROL):
                    m.d.sync += found.eq((seen_masked & selected).any())
                with m.If(place == _Place.PENDING):
                    m.d.sync += found.eq(seen_pending)
                with m.If(~known):
                    m.d.sync += found.eq(0)
                for number, window in enumerate(windows):
                    m.d.comb += [
                        window.write.ready.eq(chosen[2 * number]),
                        window.read.ready.eq(chosen[2 * number + 1]),
                    ]
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += countdown.eq(GAP_CYCLES - 1)
                answered = Signal()
                m.d.comb += answered.eq(writes)
                for number, window in enumerate(windows):
                    with m.If(chosen[2 * number + 1]):
                        m.d.comb += [
                            window.read_data.valid.eq(1),
                            answered.eq(window.read_data.ready),
                        ]
                with m.If(answered):
                    m.next = "GAP"
            with m.State("GAP"):
                m.d.sync += countdown.eq(countdown - 1)
                with m.If(countdown == 0):
                    m.next = "IDLE"
        for window in windows:
            m.d.comb += window.read_data.payload.eq(found)
        return m
