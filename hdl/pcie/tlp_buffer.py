"""Holds what was received until it is whole."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .checked_beat import CheckedBeatLayout
from .tlp import SEGMENT_DWORDS, TlpBeatLayout, TlpSegmentLayout

__all__ = ["TlpBuffer"]


class TlpBuffer(wiring.Component):
    """Let TLPs go on when they are whole, and only good ones.

    A beat waits while the TLP at its end, its tail, has not ended; the lanes in front of the tail,
    of TLPs that have ended, do not wait: if the beat is the next to leave they leave alone, and
    the tail follows in a beat of its own. So no TLP waits for the one behind it, and none has a
    gap in it. Lanes of a TLP that ended badly leave as invalid.

    No beat is refused, and there is always room. A TLP of m beats, at most ``1 +
    ceil(max_payload_bytes / 32 / segment_count)`` since a digest may begin one more segment, is
    open for m - 1 of them. The first beat stays only while its tail is open, so that all beats
    stored are the open TLP's, m - 1, and one more is written; in any other cycle a beat leaves
    for good. So m beats are the most, and one row more tells full from empty.

    Latency is 2 cycles from the last beat of a TLP when nothing waits in front of it. Throughput
    is 1 beat per cycle: a split costs a cycle, but only the first TLPs after a rest are split,
    because then as many beats wait as the longest of them has.

    Specification: this docstring, for input as :class:`CheckedBeatLayout` says.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    max_payload_bytes : int
        Longest payload: 128 to 4096, a power of two.

    Members
    -------
    i : In(CheckedBeatLayout(segment_count))
        From :class:`TlpCheck`.
    o : Out(TlpBeatLayout(segment_count))
        Whole, well-formed TLPs, each in consecutive cycles; registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    o: Any

    def __init__(self, *, segment_count: int, max_payload_bytes: int):
        if max_payload_bytes not in (128, 256, 512, 1024, 2048, 4096):
            raise ValueError(
                f"max_payload_bytes must be a power of two, 128 to 4096, not {max_payload_bytes!r}"
            )
        self.segment_count = segment_count
        segments = max_payload_bytes // (4 * SEGMENT_DWORDS)
        self.depth = 2 + -(-segments // segment_count)
        # State, kept here for the proofs.
        self.write_address = Signal(range(self.depth))
        self.read_address = Signal(range(self.depth))
        self.is_open = Signal()
        self.open_address = Signal(range(self.depth))
        self.is_split = Signal()
        self.count = Signal(range(self.depth))
        self.some = Signal()
        super().__init__(
            {
                "i": In(CheckedBeatLayout(segment_count)),
                "o": Out(TlpBeatLayout(segment_count)),
            }
        )

    def _after(self, address: Value) -> Value:
        return Mux(address == self.depth - 1, 0, address + 1)

    def elaborate(self, platform):
        m = Module()
        count, depth = self.segment_count, self.depth
        write_address, read_address = self.write_address, self.read_address
        is_open, open_address, is_split = self.is_open, self.open_address, self.is_split

        # Never is a row read while it is written, but for one that nobody looks at.
        segments_layout = data.ArrayLayout(TlpSegmentLayout(), count)
        m.submodules.segments = ram = Memory(
            shape=segments_layout, depth=depth, init=[], attrs={"no_rw_check": "1"}
        )
        write_segments = ram.write_port()
        read_segments = ram.read_port(domain="comb")
        row_layout = data.StructLayout({"valid": count, "tail": count, "begins": 1})
        m.submodules.rows = rows = Memory(shape=row_layout, depth=depth, init=[])
        write_row = rows.write_port()
        read_row = rows.read_port(domain="comb")

        # Write side: the row with the first lanes of the open TLP is where its verdict goes.
        beat, tail = self.i.beat, self.i.tail
        stores = Signal()
        begins = Signal()
        m.d.comb += [
            stores.eq(beat.valid.any()),
            begins.eq((tail & Cat(beat.segments[n].sop for n in range(count))).any()),
            write_segments.en.eq(stores),
            write_segments.addr.eq(write_address),
            write_segments.data.eq(beat.segments),
            write_row.en.eq(stores),
            write_row.addr.eq(write_address),
            write_row.data.valid.eq(beat.valid),
            write_row.data.tail.eq(tail),
            write_row.data.begins.eq(begins),
        ]
        with m.If(stores):
            m.d.sync += write_address.eq(self._after(write_address))
        bad = Signal(depth)
        with m.If(self.i.ended):
            m.d.sync += [bad.bit_select(open_address, 1).eq(self.i.bad), is_open.eq(0)]
        with m.If(begins):
            m.d.sync += [is_open.eq(1), open_address.eq(write_address)]

        # Read side.
        row = read_row.data
        waits = Signal()
        drops = Signal()
        dropped_before = Signal()
        lanes = Signal(count)
        m.d.comb += [
            read_row.addr.eq(read_address),
            read_segments.addr.eq(read_address),
            waits.eq(is_open & (read_address == open_address)),
            drops.eq(Mux(row.begins, bad.bit_select(read_address, 1), dropped_before)),
        ]
        with m.If(waits):
            m.d.comb += lanes.eq(Mux(is_split, 0, row.valid & ~row.tail))
        with m.Else():
            m.d.comb += lanes.eq(
                row.valid
                & ~(row.tail & drops.replicate(count))
                & (row.tail | ~is_split.replicate(count))
            )
        leaves = Signal()
        m.d.comb += leaves.eq(self.some & ~waits)
        m.d.sync += [
            self.count.eq(self.count + stores - leaves),
            self.some.eq(stores | (self.count > 1) | (self.some & waits)),
        ]

        valid = Signal(count)
        segments = Signal(segments_layout, reset_less=True)
        m.d.sync += [valid.eq(0), segments.eq(read_segments.data)]
        with m.If(self.some):
            m.d.sync += [valid.eq(lanes), is_split.eq(waits)]
            with m.If(~waits):
                m.d.sync += [
                    read_address.eq(self._after(read_address)),
                    dropped_before.eq(drops),
                ]
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.segments.eq(segments),
        ]
        return m
