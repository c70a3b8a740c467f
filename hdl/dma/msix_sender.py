"""From pending MSI-X vectors to messages."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits.picker import PriorityPicker
from ..memory import SimpleDualPortRam
from .memory_port import MemoryStatus, MemoryWriteSignature
from .msix_parts import (
    MsixAccessLayout,
    MsixSentLayout,
    row_bits,
    row_count,
    row_shape,
    vector_shape,
)

__all__ = ["MsixSender"]


class MsixSender(wiring.Component):
    """Look at rows of vectors in turn, and send a message for each that is due.

    Rows are visited one by one, every second time the row of the latest event. Of a row, all that
    are due are sent, from the lowest on, before the next. A vector stays pending until its
    message begins, so what is on its way may be dropped at any time: it is found again. A row with
    a vector on its way is not visited.

    Latency from a visit to the message is 4 cycles. Throughput is a message per cycle, and a row
    per cycle of those without vectors that are due.

    Specification: PCI Express Base Specification, 6.1.4 (MSI-X operation) and 7.7.2 (entries).

    Parameters
    ----------
    vector_count : int
        Vectors.
    data_bytes : int
        Bytes of a beat of the client, 4 or more.
    interval_bits : int
        Of moderation intervals.

    Members
    -------
    allowed : In(1)
        Whether messages may begin.
    hint : In(1), hint_row : In(row_shape)
        Strobe: an event has come in this row.
    visit_row : Out(row_shape)
        Row that is looked at; a register.
    due : In(row_bits)
        Vectors of that row that may send.
    access : In(MsixAccessLayout(vector_count))
        What accesses to registers want.
    entry : Out(32).array(4)
        Words of the entry that ``access.read`` asked for, in the next cycle.
    quiet : Out(1)
        Nothing is on its way to a message. Combinational from registers.
    sent : Out(MsixSentLayout(vector_count, interval_bits))
        A message has begun. Registered.
    o : Out(MemoryWriteSignature(data_bytes))
        Messages as writes of 4 bytes. Registered. ``o.response.ready`` is 1.
    failed : Out(1)
        Strobe: a response other than OK. Registered.
    """

    allowed: Signal
    hint: Signal
    hint_row: Signal
    visit_row: Signal
    due: Signal
    access: data.View
    entry: list[Signal]
    quiet: Signal
    sent: data.View
    o: Any
    failed: Signal

    def __init__(self, *, vector_count: int, data_bytes: int, interval_bits: int):
        if data_bytes < 4:
            raise ValueError(f"data_bytes must be 4 or more, not {data_bytes!r}")
        self.vector_count = vector_count
        self.interval_bits = interval_bits
        self.row_count = row_count(vector_count)
        self.width = row_bits(vector_count)
        row = row_shape(vector_count)
        super().__init__(
            {
                "allowed": In(1),
                "hint": In(1),
                "hint_row": In(row),
                "visit_row": Out(row),
                "due": In(self.width),
                "access": In(MsixAccessLayout(vector_count)),
                "entry": Out(32).array(4),
                "quiet": Out(1),
                "sent": Out(MsixSentLayout(vector_count, interval_bits)),
                "o": Out(MemoryWriteSignature(data_bytes)),
                "failed": Out(1),
            }
        )
        # What is on its way; attributes for the proofs.
        self._waiting = Signal(self.width)
        self._waiting_row = Signal(row, reset_less=True)
        self._picked = Signal()
        self._picked_vector = Signal(vector_shape(vector_count), reset_less=True)
        self._fetched = Signal()
        self._fetched_vector = Signal(vector_shape(vector_count), reset_less=True)

    def elaborate(self, platform):
        m = Module()
        access = self.access
        m.submodules.picker = picker = PriorityPicker(request_count=self.width)
        m.submodules.entries = entries = SimpleDualPortRam(
            shape=4 * 32, depth=max(2, self.vector_count), lane_count=4, latency=1, bypass=False
        )

        waiting, waiting_row = self._waiting, self._waiting_row
        picked, fetched = self._picked, self._fetched
        picked_vector, fetched_vector = self._picked_vector, self._fetched_vector

        request, beat = self.o.request, self.o.data
        can_offer = Signal()
        moves = Signal()
        drop = Signal()
        send = Signal()
        m.d.comb += [
            can_offer.eq((~request.valid | request.ready) & (~beat.valid | beat.ready)),
            moves.eq(~fetched | can_offer),
            drop.eq(access.flush | ~self.allowed),
            send.eq(fetched & can_offer & ~drop),
        ]

        # The next row, when the last vector of the one before is on its way.
        any_waiting = Signal()
        rest = Signal(self.width)
        conflicts = Signal()
        take = Signal()
        m.d.comb += [
            any_waiting.eq(waiting.any()),
            rest.eq(waiting & ~picker.grant),
            conflicts.eq(
                (any_waiting & (waiting_row == self.visit_row))
                | (picked & (picked_vector[5:] == self.visit_row))
                | (fetched & (fetched_vector[5:] == self.visit_row))
                | (self.sent.valid & (self.sent.vector[5:] == self.visit_row))
            ),
            take.eq(~any_waiting | (moves & ~rest.any())),
            picker.requests.eq(waiting),
            self.quiet.eq(~any_waiting & ~picked & ~fetched),
        ]
        sweep = Signal.like(self.visit_row)
        after_sweep = Signal.like(self.visit_row)
        in_sweep = Signal()
        hinted = Signal()
        hinted_row = Signal.like(self.visit_row, reset_less=True)
        m.d.comb += after_sweep.eq(Mux(sweep == self.row_count - 1, 0, sweep + 1))
        with m.If(take & ~conflicts & ~access.hold):
            with m.If(in_sweep):
                m.d.sync += sweep.eq(after_sweep)
            with m.If(in_sweep & hinted):
                m.d.sync += [self.visit_row.eq(hinted_row), in_sweep.eq(0), hinted.eq(0)]
            with m.Else():
                m.d.sync += [
                    self.visit_row.eq(Mux(in_sweep, after_sweep, sweep)),
                    in_sweep.eq(1),
                ]
        with m.If(access.read):
            # Not taken, so that the sweep finds its row again.
            m.d.sync += [self.visit_row.eq(access.vector[5:]), in_sweep.eq(0)]
        with m.If(self.hint):
            m.d.sync += [hinted.eq(1), hinted_row.eq(self.hint_row)]

        with m.If(drop):
            m.d.sync += waiting.eq(0)
        with m.Elif(take):
            m.d.sync += [
                waiting.eq(Mux(conflicts | access.hold, 0, self.due)),
                waiting_row.eq(self.visit_row),
            ]
        with m.Elif(moves):
            m.d.sync += waiting.eq(rest)

        with m.If(moves):
            m.d.sync += [
                picked.eq(any_waiting),
                picked_vector.eq(Cat(C(0, 5) | picker.index, waiting_row)),
                fetched.eq(picked),
                fetched_vector.eq(picked_vector),
            ]
        with m.If(drop):
            m.d.sync += [picked.eq(0), fetched.eq(0)]

        m.d.comb += [
            entries.read_en.eq(moves | access.read),
            entries.read_address.eq(Mux(access.read, access.vector, picked_vector)),
            entries.write_lanes.eq(access.write),
            entries.write_address.eq(access.vector),
            entries.write_data.eq(access.word.replicate(4)),
        ]
        words = [entries.read_data.word_select(n, 32) for n in range(4)]
        m.d.comb += [word.eq(found) for word, found in zip(self.entry, words, strict=True)]

        address = Signal(64, reset_less=True)
        message = Signal(32, reset_less=True)
        m.d.comb += [
            request.p.address.eq(address),
            request.p.length.eq(4),
            beat.p.data.eq(message),
            beat.p.keep.eq(0xF),
            beat.p.last.eq(1),
            self.o.response.ready.eq(1),
        ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(beat.ready):
            m.d.sync += beat.valid.eq(0)
        with m.If(can_offer):
            m.d.sync += [address.eq(Cat(words[0], words[1])), message.eq(words[2])]
        with m.If(send):
            m.d.sync += [request.valid.eq(1), beat.valid.eq(1)]
        m.d.sync += [
            self.sent.valid.eq(send),
            self.sent.vector.eq(fetched_vector),
            self.sent.interval.eq(words[3]),
            self.failed.eq(self.o.response.valid & (self.o.response.p.status != MemoryStatus.OK)),
        ]
        return m
