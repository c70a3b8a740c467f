"""Splitter of AXI4 writes: cuts pieces into bursts and says what happens in each cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi_write_parts import AxiAddressLayout, AxiEndLayout, AxiStepLayout
from .memory_port import MemoryStatus
from .write_parts import PAGE_BITS, WritePieceLayout, store_rows_of

__all__ = ["AxiWriteSplitter"]

#: The page is counted in two cycles, this many bits in the first.
_LOW_PAGE_BITS = 26
_BURST_BITS = 8  # of the number of a beat in the longest burst


class AxiWriteSplitter(wiring.Component):
    """Make of each piece the steps that read its rows and give them out as beats, and its bursts.

    A piece is a burst; where a beat has 8 bytes, it is cut at multiples of 2 KB. One whose first
    beat needs bytes of two rows takes one step more. Bursts of a client that is muted are not
    begun, nor anything more of the request; their rows are read, so that they come free. A burst
    that has begun goes on.

    If nothing is taken for two ticks, pieces are let go as if all clients were muted; the rest of a
    burst that has begun is made up for with beats without strobes, as soon as they are taken.

    Latency is 2 cycles. Throughput is a step per cycle, also from piece to piece.

    Specification: Arm IHI 0022, AMBA AXI and ACE, A3.4.1.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`AxiWrite`, a row being a beat.

    Members
    -------
    i : In(stream.Signature(WritePieceLayout(client_count, row_bytes)))
        Pieces. ``ready`` depends combinationally on ``o.ready`` and ``address.ready``.
    mute : In(client_count)
        Clients for which no burst is begun.
    tick : In(1)
        Pulse, every ``timeout`` cycles.
    address : Out(stream.Signature(AxiAddressLayout(client_count, row_bytes)))
        Bursts, with the step of their first beat; depends combinationally on ``o.ready``.
    o : Out(stream.Signature(AxiStepLayout(client_count, row_bytes)))
        Steps, combinational from registers and ``address.ready``. With ``mute`` they may change.
    burst : Out(client_count)
        One-hot strobe, registered: a burst of this client has begun.
    ended : Out(client_count), end : Out(AxiEndLayout())
        One-hot strobe, registered: a request of this client has no more to send. With the strobe
        of its last burst or later.
    freed : Out(range(2 * store_rows)).array(client_count)
        Rows of each client before this one are free. Registered.
    """

    i: stream.Interface
    mute: Signal
    tick: Signal
    address: stream.Interface
    o: stream.Interface
    burst: Signal
    ended: Signal
    end: Any
    freed: list[Signal]

    def __init__(self, *, client_count: int, row_bytes: int):
        self.client_count = client_count
        self.row_bytes = row_bytes
        self.piece_layout = WritePieceLayout(client_count, row_bytes)
        addresses = stream.Signature(AxiAddressLayout(client_count, row_bytes))
        super().__init__(
            {
                "i": In(stream.Signature(self.piece_layout)),
                "mute": In(client_count),
                "tick": In(1),
                "address": Out(addresses),
                "o": Out(stream.Signature(AxiStepLayout(client_count, row_bytes))),
                "burst": Out(client_count),
                "ended": Out(client_count),
                "end": Out(AxiEndLayout()),
                "freed": Out(range(2 * store_rows_of(row_bytes))).array(client_count),
            }
        )
        # Two pieces: one is got ready, one is being made steps of.
        self.low = row_bytes.bit_length() - 1
        self.row_bits = PAGE_BITS - self.low
        self.length_bits = min(_BURST_BITS, self.row_bits)
        self.plan_layout = data.StructLayout(
            {
                "piece": self.piece_layout,
                "carry": 1,
                "shift": range(row_bytes),
                "beats_1": self.row_bits,
                "rows_1": self.length_bits,
            }
        )

    def elaborate(self, platform):
        m = Module()
        loads = Signal()
        next_valid, next_plan = self._prepare(m, loads)

        valid = Signal()
        plan = Signal(self.plan_layout, reset_less=True)
        piece = plan.piece
        priming = Signal(reset_less=True)
        first = Signal(reset_less=True)  # no beat has been made of the piece
        begins = Signal(reset_less=True)
        beat = Signal(self.row_bits, reset_less=True)
        beats_left = Signal(self.row_bits, reset_less=True)
        final = Signal(reset_less=True)
        muted = Signal(reset_less=True)
        gone = Signal(reset_less=True)
        skipped = Signal(self.client_count)
        ours = Signal(self.client_count)
        m.d.comb += ours.eq(Cat(piece.client == n for n in range(self.client_count)))

        stuck = Signal()
        owes = Signal()  # beats of a burst that was left alone, this many and one more
        owed = Signal(self.length_bits, reset_less=True)
        is_last = Signal()
        cuts = Signal()
        stops = Signal()
        emits = Signal()
        opens = Signal()
        m.d.comb += [
            is_last.eq(~piece.send | (~priming & final)),
            cuts.eq(beat[: self.length_bits].all()),
            stops.eq(gone | stuck | (ours & (self.mute | skipped)).any()),
            emits.eq(piece.send & ~priming & ~Mux(begins, stops, muted)),
            opens.eq(emits & begins),
        ]

        step = self.o.p
        moves = Signal()
        m.d.comb += [
            self.o.valid.eq(Mux(stuck, owes, valid & (~opens | self.address.ready))),
            moves.eq(Mux(stuck, valid, self.o.valid & self.o.ready)),
            loads.eq(~valid | (moves & is_last)),
            step.client.eq(piece.client),
            step.shift.eq(plan.shift),
            step.emit.eq(emits | stuck),
            step.first.eq(Mux(first, piece.first[: self.low], 0)),
            step.last.eq(Mux(final, piece.last[: self.low], self.row_bytes - 1)),
            step.none.eq(stuck),
            step.ends.eq(Mux(stuck, owed == 0, final | cuts)),
            self.address.valid.eq(valid & opens & self.o.ready),
            self.address.p.client.eq(piece.client),
            self.address.p.row.eq(Cat(beat, piece.page)),
            self.address.p.rows_1.eq(
                Mux(first, plan.rows_1, piece.last[self.low :][: self.length_bits])
            ),
        ]
        with m.Switch(piece.client):
            for number, freed in enumerate(self.freed):
                with m.Case(number):
                    m.d.comb += step.row.eq(freed)

        m.d.sync += [
            self.burst.eq(Mux(moves & opens, ours, 0)),
            self.ended.eq(Mux(moves & is_last & piece.end, ours, 0)),
            self.end.tag.eq(piece.tag),
            self.end.status.eq(Mux(stops, MemoryStatus.TIMEOUT, piece.status)),
        ]
        with m.If(moves):
            m.d.sync += priming.eq(0)
            with m.If(~priming):
                m.d.sync += [
                    first.eq(0),
                    begins.eq(cuts),
                    beat.eq(beat + 1),
                    beats_left.eq(beats_left - 1),
                    final.eq(beats_left == 1),
                    muted.eq(~emits),
                    gone.eq(gone | (begins & stops)),
                ]
            for number, freed in enumerate(self.freed):
                with m.If(ours[number]):
                    m.d.sync += freed.eq(Mux(is_last, piece.free_to, freed + 1))
                    with m.If(is_last):
                        m.d.sync += skipped[number].eq(
                            ~piece.end & piece.send & (gone | (begins & stops) | skipped[number])
                        )
        in_last_burst = beat[self.length_bits :] == piece.last[self.low + self.length_bits :]
        waited = Signal()
        with m.If(stuck & self.o.ready):
            m.d.sync += [
                owed.eq(owed - 1),
                owes.eq(owes & (owed != 0)),
                stuck.eq(owes | ~self.address.ready),
            ]
        with m.If(stuck | moves | ~valid):
            m.d.sync += waited.eq(0)
        with m.Elif(self.tick):
            m.d.sync += waited.eq(1)
            with m.If(waited):
                m.d.sync += [
                    stuck.eq(1),
                    waited.eq(0),
                    owes.eq(emits & ~begins),
                    owed.eq(Mux(in_last_burst, beats_left, ~beat)),
                    muted.eq(1),
                    gone.eq(gone | ~begins),
                ]
        with m.If(loads):
            m.d.sync += [
                valid.eq(next_valid),
                plan.eq(next_plan),
                piece.page[_LOW_PAGE_BITS:].eq(
                    next_plan.piece.page[_LOW_PAGE_BITS:] + next_plan.carry
                ),
                priming.eq(next_plan.piece.prime),
                first.eq(1),
                begins.eq(1),
                beat.eq(next_plan.piece.first[self.low :]),
                beats_left.eq(next_plan.beats_1),
                final.eq(next_plan.beats_1 == 0),
                gone.eq(0),
            ]
        return m

    def _prepare(self, m: Module, loads: Value) -> tuple[Value, data.View]:
        """Count the beats of the piece that comes next; it goes on when ``loads``."""
        piece = self.i.p
        valid = Signal(name="next_valid")
        plan = Signal(self.plan_layout, name="next_plan", reset_less=True)
        first = piece.first[self.low :]
        last = piece.last[self.low :]
        beats_1 = Signal(self.row_bits)
        rows_1 = Signal(self.length_bits)
        m.d.comb += [self.i.ready.eq(loads | ~valid), beats_1.eq(last - first), rows_1.eq(beats_1)]
        if self.row_bits > self.length_bits:
            with m.If(first[self.length_bits :] != last[self.length_bits :]):
                m.d.comb += rows_1.eq(~first[: self.length_bits])
        with m.If(self.i.ready):
            m.d.sync += [
                valid.eq(self.i.valid),
                plan.piece.eq(piece),
                Cat(plan.piece.page[:_LOW_PAGE_BITS], plan.carry).eq(
                    piece.page[:_LOW_PAGE_BITS] + piece.page_number
                ),
                # `shift` has only what is left modulo 4 of the address of a request's begin.
                plan.shift.eq(piece.shift | piece.first[: self.low]),
                plan.beats_1.eq(beats_1),
                plan.rows_1.eq(rows_1),
            ]
        return valid, plan
