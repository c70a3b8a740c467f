"""Splitter of writes: cuts pieces at Max_Payload_Size and says what happens in each cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .memory_port import MemoryStatus
from .write_parts import (
    ATTRIBUTES,
    PAGE_BITS,
    WritePieceLayout,
    WriteStepLayout,
    store_rows_of,
)

__all__ = ["WriteSplitter"]

_SMALLEST_PAYLOAD_BITS = 7
_LARGEST_PAYLOAD_CODE = 5
#: The page is counted in two cycles, this many bits in the first.
_LOW_PAGE_BITS = 26


class WriteSplitter(wiring.Component):
    """Make of each piece the steps that read its rows and give them out as beats of TLPs.

    Payload counts from the DW of the first byte and Max_Payload_Size is a multiple of a row, so
    a TLP is a run of beats, each but the last full: a counter of beats tells where TLPs begin and
    end. A piece that begins in the upper part of a row takes one step more, which makes no beat.

    When the link goes down the TLP under way is nullified at its end, and nothing more of
    its request is sent. Steps go on, so that the rows come free.

    Latency is 2 cycles. Throughput is a step per cycle, also from piece to piece.

    Specification: PCI Express Base Specification: lengths and boundaries of requests (2.2.7), byte
    enables (2.2.5), Max_Payload_Size (2.2.2).

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.

    Members
    -------
    i : In(stream.Signature(WritePieceLayout(client_count, row_bytes)))
        Pieces. ``ready`` depends combinationally on ``o.ready``.
    max_payload : In(3)
        Max_Payload_Size, 128 << code bytes; 6 and 7 are 4096. A change counts from a later piece.
    link_up : In(1)
        Data link layer active.
    o : Out(stream.Signature(WriteStepLayout(client_count, row_bytes)))
        Steps, combinational from registers. Within a TLP ``valid`` does not fall.
    freed : Out(range(2 * store_rows)).array(client_count)
        Rows of each client before this one are free. Registered.
    """

    i: stream.Interface
    max_payload: Signal
    link_up: Signal
    o: stream.Interface
    freed: list[Signal]

    def __init__(self, *, client_count: int, row_bytes: int):
        self.client_count = client_count
        self.row_bytes = row_bytes
        self.store_rows = store_rows_of(row_bytes)
        self.piece_layout = WritePieceLayout(client_count, row_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self.piece_layout)),
                "max_payload": In(3),
                "link_up": In(1),
                "o": Out(stream.Signature(WriteStepLayout(client_count, row_bytes))),
                "freed": Out(range(2 * self.store_rows)).array(client_count),
            }
        )

        # Two pieces: one is got ready, one is being made steps of. Proofs look at the second.
        beat_bits = PAGE_BITS - (row_bytes - 1).bit_length()
        plan = data.StructLayout(
            {
                "piece": self.piece_layout,
                "four_dwords": 1,
                "carry": 1,
                "dwords_1": range(row_bytes // 4),
                "beats_1": beat_bits,
                "mask": beat_bits,
            }
        )
        self.next_valid = Signal()
        self.next_plan = Signal(plan, reset_less=True)
        self.valid = Signal()
        self.plan = Signal(plan, reset_less=True)
        self.priming = Signal(reset_less=True)
        self.beat = Signal(beat_bits, reset_less=True)
        self.beats_left = Signal(beat_bits, reset_less=True)
        self.dword_rows = Signal(beat_bits, reset_less=True)
        self.mask = Signal(beat_bits, init=(1 << _SMALLEST_PAYLOAD_BITS) // row_bytes - 1)
        self.fell = Signal()
        self.lost = Signal(reset_less=True)
        self.muted = Signal(reset_less=True)
        self.failed = Signal(client_count)
        self.opened = Signal(client_count)

    def elaborate(self, platform):
        m = Module()
        loads = Signal()
        self._prepare(m, loads)

        plan = self.plan
        piece = plan.piece
        cuts = Signal()  # this beat makes the TLP as long as may be
        begins = Signal()
        is_last = Signal()
        more = Signal()  # if a TLP begins here, it is not the last one
        first_tlp = Signal(reset_less=True)
        dword_rows = self.dword_rows
        m.d.comb += [
            cuts.eq((self.beat | ~plan.mask).all()),
            begins.eq(~(self.beat & plan.mask).any()),
            is_last.eq(~piece.send | (~self.priming & (self.beats_left == 0))),
            more.eq((self.beats_left & ~plan.mask).any()),
        ]

        # `fell` remembers while a step waits, so that no step changes meanwhile.
        fell, lost, muted, failed = self.fell, self.lost, self.muted, self.failed
        gone = Signal()
        silent = Signal()
        of_client = Signal(range(max(2, self.client_count)))
        m.d.comb += [
            of_client.eq(piece.client),
            gone.eq(lost | failed.bit_select(of_client, 1)),
            silent.eq(~piece.send | self.priming | Mux(begins, gone, muted)),
        ]

        step = self.o.p
        single = Signal()
        first_mask = Signal(4)
        last_mask = Signal(4)
        low = len(plan.dwords_1)
        m.d.comb += [
            self.o.valid.eq(self.valid),
            step.client.eq(piece.client),
            step.shift.eq(piece.shift),
            step.emit.eq(~silent),
            step.sop.eq(begins),
            step.eop.eq(cuts | (self.beats_left == 0)),
            step.nullified.eq(gone),
            step.dwords_1.eq(Mux(self.beats_left == 0, plan.dwords_1, ~C(0, low))),
            step.length_1.eq(
                Mux(
                    more,
                    Cat(~C(0, low), plan.mask),
                    Cat(plan.dwords_1, self.beats_left),
                )
            ),
            step.page.eq(piece.page),
            step.four_dwords.eq(plan.four_dwords),
            step.dword.eq(Cat(piece.first[2 : 2 + low], dword_rows)),
            single.eq(~more & (self.beats_left == 0) & (plan.dwords_1 == 0)),
            first_mask.eq(Mux(first_tlp, C(0xF, 4) << piece.first[:2], 0xF)),
            last_mask.eq(Mux(more, 0xF, C(0xF, 4) >> ~piece.last[:2])),
            step.first_be.eq(first_mask & Mux(single, last_mask, 0xF)),
            step.last_be.eq(Mux(single, 0, last_mask)),
            *(step[name].eq(piece[name]) for name in ATTRIBUTES),
            step.end.eq(piece.end & is_last),
            step.tag.eq(piece.tag),
            step.status.eq(piece.status),
        ]
        with m.If((piece.status == MemoryStatus.OK) & gone):
            m.d.comb += step.status.eq(MemoryStatus.LINK_DOWN)
        with m.Switch(of_client):
            for number, freed in enumerate(self.freed):
                with m.Case(number):
                    m.d.comb += step.row.eq(freed)

        moves = Signal()
        m.d.comb += [
            moves.eq(self.valid & self.o.ready),
            loads.eq(~self.valid | (moves & is_last)),
        ]
        with m.If(~self.link_up):
            # A write may be open without a piece here: what was sent of it is lost.
            m.d.sync += [fell.eq(1), failed.eq(failed | self.opened)]
        with m.If(moves):
            m.d.sync += [self.priming.eq(0), muted.eq(silent & ~self.priming)]
            m.d.sync += [lost.eq(lost | fell | ~self.link_up), fell.eq(0)]
            with m.If(~self.priming):
                m.d.sync += [
                    self.beat.eq(self.beat + 1),
                    self.beats_left.eq(self.beats_left - 1),
                    dword_rows.eq(dword_rows + 1),
                ]
                with m.If(step.eop):
                    m.d.sync += first_tlp.eq(0)
            with m.Switch(of_client):
                for number, freed in enumerate(self.freed):
                    with m.Case(number):
                        m.d.sync += freed.eq(Mux(is_last, piece.free_to, freed + 1))
                        with m.If(is_last):
                            m.d.sync += [
                                self.opened[number].eq(~piece.end),
                                failed[number].eq(~piece.end & (gone | fell | ~self.link_up)),
                            ]
        with m.If(loads):
            first = self.next_plan.piece.first
            low_page = self.next_plan.piece.page[:_LOW_PAGE_BITS]
            high = self.next_plan.piece.page[_LOW_PAGE_BITS:]
            m.d.sync += [
                self.valid.eq(self.next_valid),
                plan.eq(self.next_plan),
                plan.piece.page[_LOW_PAGE_BITS:].eq(high + self.next_plan.carry),
                plan.four_dwords.eq(
                    low_page[32 - PAGE_BITS :].any() | high.any() | self.next_plan.carry
                ),
                self.priming.eq(self.next_plan.piece.prime),
                self.beat.eq(0),
                self.beats_left.eq(self.next_plan.beats_1),
                dword_rows.eq(first[2 + low :]),
                first_tlp.eq(1),
                muted.eq(0),
                lost.eq(~self.link_up),
                fell.eq(0),
            ]
        return m

    def _prepare(self, m: Module, loads: Value) -> None:
        """Count the beats of the piece that comes next; it goes on when ``loads``."""
        piece = self.i.p
        low = len(self.plan.dwords_1)
        span = Signal(PAGE_BITS - 2)
        m.d.comb += [
            self.i.ready.eq(loads | ~self.next_valid),
            span.eq(piece.last[2:] - piece.first[2:]),
        ]
        always = _SMALLEST_PAYLOAD_BITS - (self.row_bytes - 1).bit_length()
        codes = range(1, _LARGEST_PAYLOAD_CODE + 1)
        m.d.sync += self.mask.eq(
            Cat(~C(0, always), Cat(self.max_payload >= code for code in codes))
        )
        with m.If(self.i.ready):
            m.d.sync += [
                self.next_valid.eq(self.i.valid),
                self.next_plan.piece.eq(piece),
                Cat(self.next_plan.piece.page[:_LOW_PAGE_BITS], self.next_plan.carry).eq(
                    piece.page[:_LOW_PAGE_BITS] + piece.page_number
                ),
                self.next_plan.dwords_1.eq(span[:low]),
                self.next_plan.beats_1.eq(span[low:]),
                self.next_plan.mask.eq(self.mask),
            ]
