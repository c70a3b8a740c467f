"""TLPs to AXI4-Stream with the header in line, as hard IP wants them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import AxiStreamSignature, Downsizer, PacketLayout, PacketSignature, ToAxiStream
from .raw_header import HEADER_BITS, encode_header
from .raw_rx import SEGMENT_BYTES, segment_count_of
from .tlp import SEGMENT_DWORDS, TlpBeatLayout, TlpSegmentLayout

__all__ = ["LaneAligner", "TlpJoiner", "ToTlpStream"]


class LaneAligner(wiring.Component):
    """Give the segments of one TLP a beat, from lane 0 on.

    Of a TLP that begins in any lane, each beat but the last is full, if beats at the input come
    without a pause. Idle lanes at the input take no time.

    Latency is 1 cycle for a TLP that ends in the beat that it begins in, else 1 cycle from the
    beat that completes a beat of the output. Throughput is 1 beat per cycle at the output, as
    long as beats wait at the input.

    Parameters
    ----------
    segment_count : int
        Segments of a beat; see :class:`TlpBeatLayout`.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Segments. ``i.ready`` depends combinationally on ``i.p`` and ``o.ready``.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Segments of one TLP; registered.

    Raises
    ------
    ValueError
        If ``segment_count`` is not 1, 2 or 4.
    """

    i: Any
    o: Any

    def __init__(self, *, segment_count: int):
        beat = stream.Signature(TlpBeatLayout(segment_count))
        self.segment_count = segment_count
        super().__init__({"i": In(beat), "o": Out(beat)})

    def elaborate(self, platform):
        m = Module()
        lanes = self.segment_count

        # What is left of the last beat, and the first lane of it.
        kept: Any = Signal(data.ArrayLayout(TlpSegmentLayout(), lanes), reset_less=True)
        kept_valid = Signal(lanes)
        first = Signal(range(lanes)) if lanes > 1 else C(0, 1)

        # The lanes of the next beat of the output: from `first` on, and then from the input.
        # A lane that has not come yet is not known to be idle.
        both = [*kept, *self.i.p.segments]
        come = self.i.valid.replicate(lanes)
        valids = Signal(2 * lanes)
        known = Signal(2 * lanes)
        m.d.comb += [
            valids.eq(Cat(kept_valid, self.i.p.valid & come)),
            known.eq(Cat(C(1, 1).replicate(lanes), come)),
        ]
        window: Any = Signal(data.ArrayLayout(TlpSegmentLayout(), lanes))
        window_valid = Signal(lanes)
        window_known = Signal(lanes)
        with m.Switch(first):
            for choice in range(lanes):
                with m.Case(choice):
                    m.d.comb += [
                        window_valid.eq(valids[choice : choice + lanes]),
                        window_known.eq(known[choice : choice + lanes]),
                    ]
                    for lane, segment in enumerate(window):
                        m.d.comb += segment.eq(both[choice + lane])

        # Up to the end of the TLP, or all. One that was cut off ends where another begins or
        # a lane is idle.
        taken = Signal(range(1, lanes + 1))
        ends = Signal()
        m.d.comb += taken.eq(lanes)
        for lane, segment in reversed(list(enumerate(window))):
            with m.If(segment.eop & window_valid[lane]):
                m.d.comb += [taken.eq(lane + 1), ends.eq(1)]
            if lane:
                with m.If(window_known[lane] & (segment.sop | ~window_valid[lane])):
                    m.d.comb += [taken.eq(lane), ends.eq(1)]

        can_go = Signal()
        goes = Signal()
        room = Signal()
        m.d.comb += [
            can_go.eq(kept_valid.any() & (ends | window_valid.all())),
            room.eq(self.o.ready | ~self.o.valid),
            goes.eq(can_go & room),
        ]

        # The lanes behind those that go.
        behind = Signal(range(2 * lanes))
        remaining = Signal(2 * lanes)
        m.d.comb += [behind.eq(first + taken), remaining.eq(valids)]
        with m.If(goes), m.Switch(behind):
            for choice in range(1, 2 * lanes):
                with m.Case(choice):
                    m.d.comb += remaining[:choice].eq(0)
        is_left = Signal()
        next_valid = Signal(lanes)
        m.d.comb += [
            is_left.eq(remaining[:lanes].any()),
            self.i.ready.eq(~is_left),
            next_valid.eq(Mux(is_left, remaining[:lanes], remaining[lanes:])),
        ]
        m.d.sync += kept_valid.eq(next_valid)
        for lane in reversed(range(lanes if lanes > 1 else 0)):
            with m.If(next_valid[lane]):
                m.d.sync += first.eq(lane)
        with m.If(~is_left):
            m.d.sync += kept.eq(self.i.p.segments)

        beat = Signal(TlpBeatLayout(lanes), reset_less=True)
        m.d.comb += self.o.payload.eq(beat)
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(can_go),
                beat.segments.eq(window),
                beat.valid.eq(Cat(taken > lane for lane in range(lanes))),
            ]
        return m


class TlpJoiner(wiring.Component):
    """Put the header in front of a TLP's payload.

    Each TLP becomes a packet: prefix, header, payload, digest, in wire order; ``error`` is that it
    is nullified. One that was cut off (the next begins before it has ended) becomes a packet with
    ``error``, which ends as the next one begins; segments of no TLP are dropped.

    Latency is 1 cycle. Throughput is 1 beat per cycle at the output: a TLP takes as many cycles
    as its packet has beats.

    Specification: PCI Express Base Specification, 2.2.1 (common header fields).

    Parameters
    ----------
    segment_count : int
        Segments of a beat; see :class:`TlpBeatLayout`.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Segments of one TLP a beat, from lane 0 on, all lanes valid before the last beat.
    o : Out(PacketSignature(32 * segment_count))
        Packets, registered.

    Raises
    ------
    ValueError
        If ``segment_count`` is not 1, 2 or 4.
    """

    i: Any
    o: Any

    def __init__(self, *, segment_count: int):
        beat = stream.Signature(TlpBeatLayout(segment_count))
        self.segment_count = segment_count
        self.dwords = SEGMENT_DWORDS * segment_count
        super().__init__({"i": In(beat), "o": Out(PacketSignature(4 * self.dwords))})

    def elaborate(self, platform):
        m = Module()
        dwords = self.dwords
        segments = self.i.p.segments
        first = segments[0]

        # What goes in front: prefix and header, as the DW that did not fit into the last beat.
        wire = Signal(HEADER_BITS)
        encode_header(m, wire, first.header)
        front = Signal(32 * 5)
        front_size = Signal(range(6))
        has_prefix = first.header.has_prefix
        m.d.comb += [
            front.eq(Mux(has_prefix, Cat(first.header.prefix, wire), wire)),
            front_size.eq(3 + first.header.four_dwords + has_prefix),
        ]
        carried = Signal(32 * 5, reset_less=True)
        carried_size = Signal(range(6), reset_less=True)
        left = Signal(32 * 5)
        left_size = Signal(range(6))
        m.d.comb += [
            left.eq(Mux(first.sop, front, carried)),
            left_size.eq(Mux(first.sop, front_size, carried_size)),
        ]

        # DW in the beat; its last lane is the one with eop.
        count = Signal(range(dwords + 1))
        is_last = Signal()
        is_nullified = Signal()
        m.d.comb += count.eq(dwords)
        for lane, segment in enumerate(segments):
            with m.If(self.i.p.valid[lane] & segment.eop):
                m.d.comb += [
                    count.eq(SEGMENT_DWORDS * (lane + 1) - segment.empty),
                    is_last.eq(1),
                    is_nullified.eq(segment.nullified),
                ]
        body = Cat(segment.data for segment in segments)
        joined = Signal(32 * (dwords + 5))
        with m.Switch(left_size):
            for choice in (3, 4, 5):
                with m.Case(choice):
                    m.d.comb += joined.eq(Cat(left[: 32 * choice], body))

        # A tail of up to 5 DW that did not fit leaves in a cycle of its own.
        tail = Signal()
        tail_nullified = Signal(reset_less=True)
        tail_count = Signal(range(6), reset_less=True)
        total = Signal(range(dwords + 6))
        room = Signal()
        is_open = Signal()
        is_cut_off = Signal()
        is_orphan = Signal()
        m.d.comb += [
            total.eq(left_size + count),
            room.eq(self.o.ready | ~self.o.valid),
            is_cut_off.eq(is_open & self.i.valid & first.sop),
            is_orphan.eq(~is_open & ~first.sop),
            self.i.ready.eq(room & ~tail & ~is_cut_off),
        ]
        beat = Signal(PacketLayout(4 * dwords), reset_less=True)
        m.d.comb += self.o.payload.eq(beat)

        def keep(amount: Value) -> Value:
            return Cat((amount > number).replicate(4) for number in range(dwords))

        fits = Signal()
        m.d.comb += fits.eq(total <= dwords)
        with m.If(room):
            m.d.sync += self.o.valid.eq(tail | (self.i.valid & ~is_orphan))
            with m.If(tail | is_cut_off):
                m.d.sync += [
                    tail.eq(0),
                    is_open.eq(0),
                    beat.data.eq(carried),
                    beat.keep.eq(keep(Mux(tail, tail_count, 1))),
                    beat.last.eq(1),
                    beat.error.eq(is_cut_off | tail_nullified),
                ]
            with m.Else():
                m.d.sync += [
                    beat.data.eq(joined),
                    beat.keep.eq(keep(total)),
                    beat.last.eq(is_last & fits),
                    beat.error.eq(is_last & is_nullified),
                ]
                with m.If(self.i.valid & ~is_orphan):
                    m.d.sync += [
                        is_open.eq(~is_last),
                        tail.eq(is_last & ~fits),
                        tail_nullified.eq(is_nullified),
                        tail_count.eq(total - dwords),
                        carried.eq(joined[32 * dwords :]),
                        carried_size.eq(left_size),
                    ]
        return m


class ToTlpStream(wiring.Component):
    """Send the switch's TLPs on AXI4-Stream, header in line.

    Each TLP begins at byte 0 of a beat: prefix, header, payload, digest, each DW with its first
    byte on the wire lowest. ``tuser`` with ``tlast`` says that it is nullified: the link layer has
    to take it back.

    Latency is 3 cycles for a TLP that ends in the beat that it begins in; with beats of less than
    32 bytes 4. Throughput is 1 beat of AXI per cycle, also across TLPs, as long as segments wait
    at the input. AXI is the slower side: TLPs that share a beat of segments leave one by one.

    Specification: PCI Express Base Specification, 2.2; Arm IHI 0051B, AMBA AXI-Stream.

    Parameters
    ----------
    data_bytes : int
        Bytes of an AXI beat: 8, 16, 32, 64 or 128. A beat of TLPs has a segment for each 32, and
        at least one.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count_of(data_bytes))))
        Segments. ``i.ready`` depends combinationally on ``i.p``.
    m_axis_tdata, m_axis_tkeep, m_axis_tlast, m_axis_tuser, m_axis_tvalid, m_axis_tready
        Bus, see :class:`AxiStreamSignature`; registered.

    Raises
    ------
    ValueError
        If ``data_bytes`` is another.
    """

    i: Any

    def __init__(self, *, data_bytes: int):
        self.segment_count = segment_count_of(data_bytes)
        self.data_bytes = data_bytes
        bus = AxiStreamSignature(data_bytes)
        self.names = tuple(bus.members)
        super().__init__(
            {
                "i": In(stream.Signature(TlpBeatLayout(self.segment_count))),
                **bus.prefixed("m_axis"),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.aligner = aligner = LaneAligner(segment_count=self.segment_count)
        m.submodules.joiner = joiner = TlpJoiner(segment_count=self.segment_count)
        m.submodules.axi = axi = ToAxiStream(data_bytes=self.data_bytes)
        wiring.connect(m, wiring.flipped(self.i), aligner.i)
        wiring.connect(m, aligner.o, joiner.i)
        packets = joiner.o
        if self.data_bytes < SEGMENT_BYTES:
            m.submodules.downsizer = downsizer = Downsizer(
                i_bytes=SEGMENT_BYTES, o_bytes=self.data_bytes
            )
            wiring.connect(m, packets, downsizer.i)
            packets = downsizer.o
        wiring.connect(m, packets, axi.i)
        for name in self.names:
            outer, inner = getattr(self, f"m_axis_{name}"), getattr(axi.m_axis, name)
            m.d.comb += inner.eq(outer) if name == "tready" else outer.eq(inner)
        return m
