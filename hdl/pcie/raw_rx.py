"""TLPs from AXI4-Stream with the header in line, as hard IP gives them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..stream import AxiStreamSignature, FromAxiStream, PacketLayout, PacketSignature, Upsizer
from .raw_header import HEADER_BITS, decode_header
from .tlp import SEGMENT_BITS, SEGMENT_DWORDS, TlpBeatLayout, TlpHeaderLayout

__all__ = ["FromTlpStream", "TlpSplitter", "segment_count_of"]

SEGMENT_BYTES = SEGMENT_BITS // 8
_PREFIX_FMT = 0b100


def segment_count_of(data_bytes: int) -> int:
    """Segments of a beat beside an AXI4-Stream of ``data_bytes``.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not 8, 16, 32, 64 or 128.
    """
    if data_bytes not in (8, 16, 32, 64, 128):
        raise ValueError(f"data_bytes must be 8, 16, 32, 64 or 128, not {data_bytes!r}")
    return max(1, data_bytes // SEGMENT_BYTES)


class TlpSplitter(wiring.Component):
    """Take the header off a TLP, and move its payload to the front.

    Each TLP is a packet: prefix, header, payload, digest, in wire order. It becomes segments from
    lane 0 of a beat on; the next TLP begins in a beat of its own. An end-to-end prefix goes into
    the header, a local one is left out.

    Ends as nullified: a packet with ``error``; one that is not of whole DW; one that ends within
    the header; one with a second prefix or a reserved Fmt. Payload and header may contradict each
    other: :class:`TlpCheck` finds that.

    Latency is 2 cycles from the beat that ends a TLP; a beat that does not end it waits for the
    next one. Throughput is 1 beat per cycle, also across TLPs: since all that is left of a TLP
    leaves while the next one's header comes, there is never more than one beat to send.

    Specification: PCI Express Base Specification, 2.2.1 (common header fields) and 2.2.10 (prefix
    rules).

    Parameters
    ----------
    segment_count : int
        Segments of a beat; see :class:`TlpBeatLayout`.

    Members
    -------
    i : In(PacketSignature(32 * segment_count))
        Packets; ``i.ready`` is always 1.
    o : Out(TlpBeatLayout(segment_count))
        Segments, a strobe; registered.

    Raises
    ------
    ValueError
        If ``segment_count`` is not 1, 2 or 4.
    """

    i: Any
    o: Any

    def __init__(self, *, segment_count: int):
        beat = TlpBeatLayout(segment_count)
        self.segment_count = segment_count
        self.dwords = SEGMENT_DWORDS * segment_count
        super().__init__({"i": In(PacketSignature(4 * self.dwords)), "o": Out(beat)})

    def elaborate(self, platform):
        m = Module()
        dwords = self.dwords
        packet = Signal(PacketLayout(4 * dwords))
        m.d.comb += [packet.eq(self.i.payload), self.i.ready.eq(1)]

        # Of this beat: DW that carry something, the last perhaps in part.
        count = Signal(range(dwords + 1))
        is_whole = Signal()
        firsts = Signal(dwords)
        lasts = Signal(dwords)
        m.d.comb += [
            firsts.eq(Cat(packet.keep[0::4])),
            lasts.eq(Cat(packet.keep[3::4])),
            is_whole.eq(firsts == lasts),
        ]
        for number in range(dwords):
            with m.If(firsts[number]):
                m.d.comb += count.eq(number + 1)

        is_first = Signal(init=1)
        with m.If(self.i.valid):
            m.d.sync += is_first.eq(packet.last)

        # Where the header begins and ends.
        has_prefix = Signal()
        header_wire = Signal(HEADER_BITS)
        header_fmt = Signal(3)
        new_header = Signal(TlpHeaderLayout())
        size = Signal(range(6))
        m.d.comb += [
            has_prefix.eq(packet.data[5:8] == _PREFIX_FMT),
            header_wire.eq(
                Mux(has_prefix, packet.data[32 : 32 + HEADER_BITS], packet.data[:HEADER_BITS])
            ),
            header_fmt.eq(header_wire[5:8]),
            size.eq(3 + header_fmt[0] + has_prefix),
            # Bit 4 of a prefix's type tells end-to-end from local.
            new_header.has_prefix.eq(has_prefix & packet.data[4]),
            new_header.prefix.eq(packet.data[0:32]),
        ]
        decode_header(m, new_header, header_wire)

        # What has come of a TLP and not left: `held_count` DW at the bottom of `held`.
        holds = Signal()
        is_complete = Signal()
        is_begin = Signal()
        held = Signal(32 * dwords, reset_less=True)
        held_count = Signal(range(dwords + 1), reset_less=True)
        held_size = Signal(range(6), reset_less=True)
        is_bad = Signal(reset_less=True)
        header = Signal(TlpHeaderLayout(), reset_less=True)

        # With the header's size from this beat or the TLP's first one: all that is behind it.
        shift = Signal(range(6))
        rest = Signal(32 * dwords)
        m.d.comb += shift.eq(Mux(is_first, size, held_size))
        with m.Switch(shift):
            for choice in (3, 4, 5):
                with m.Case(choice):
                    m.d.comb += rest.eq(packet.data[32 * choice :])

        # A beat joins what is held, which it fills up; the rest of it is held next.
        joins = Signal()
        ends_now = Signal()
        joined = Signal(32 * dwords)
        m.d.comb += [
            joins.eq(holds & ~is_complete & self.i.valid),
            ends_now.eq(packet.last & (count <= held_size)),
            joined.eq(held),
        ]
        with m.Switch(held_size):
            for choice in (3, 4, 5):
                with m.Case(choice):
                    m.d.comb += joined[32 * (dwords - choice) :].eq(packet.data[: 32 * choice])

        is_damaged = Signal()
        m.d.comb += is_damaged.eq(packet.last & (packet.error | ~is_whole))
        with m.If(self.i.valid & is_first):
            m.d.sync += [
                holds.eq(1),
                is_complete.eq(packet.last),
                is_begin.eq(1),
                held.eq(rest),
                held_count.eq(Mux(count > size, count - size, 0)),
                held_size.eq(size),
                is_bad.eq(is_damaged | header_fmt[2] | (count < size)),
                header.eq(new_header),
            ]
        with m.Elif(joins):
            m.d.sync += [
                holds.eq(~ends_now),
                is_complete.eq(packet.last),
                is_begin.eq(0),
                held.eq(rest),
                held_count.eq(count - held_size),
                is_bad.eq(is_bad | is_damaged),
            ]
        with m.Elif(is_complete):
            m.d.sync += holds.eq(0)

        # What leaves.
        leaves = Signal()
        is_last = Signal()
        is_nullified = Signal()
        amount = Signal(range(dwords + 1))
        m.d.comb += [
            leaves.eq(holds & (is_complete | self.i.valid)),
            is_last.eq(is_complete | ends_now),
            is_nullified.eq(is_bad | (joins & is_damaged)),
            amount.eq(held_count),
        ]
        with m.If(joins):
            m.d.comb += amount.eq(Mux(ends_now, dwords - held_size + count, dwords))

        beat: Any = Signal(data.ArrayLayout(self.o.segments.shape().elem_shape, self.segment_count))
        valid = Signal(self.segment_count)
        for lane, segment in enumerate(beat):
            before = SEGMENT_DWORDS * lane
            is_final = Signal(name=f"is_final_{lane}")
            m.d.comb += [
                valid[lane].eq(leaves & ((amount > before) if lane else 1)),
                is_final.eq(is_last & (amount <= before + SEGMENT_DWORDS)),
                segment.data.eq(joined[32 * before : 32 * before + SEGMENT_BITS]),
                segment.header.eq(header),
                segment.sop.eq(is_begin if lane == 0 else 0),
                segment.eop.eq(is_final),
                segment.empty.eq(Mux(is_final, before + SEGMENT_DWORDS - amount, 0)),
                segment.nullified.eq(is_final & is_nullified),
            ]
            with m.If(is_complete):
                m.d.comb += segment.data.eq(held[32 * before : 32 * before + SEGMENT_BITS])

        segments = Signal.like(beat, reset_less=True)
        m.d.sync += [self.o.valid.eq(valid), segments.eq(beat)]
        m.d.comb += self.o.segments.eq(segments)
        return m


class FromTlpStream(wiring.Component):
    """Receive TLPs from AXI4-Stream, header in line, and let them into the switch.

    Each TLP begins at byte 0 of a beat: prefix, header, payload, digest, each DW with its first
    byte on the wire lowest. What becomes of it, :class:`TlpSplitter` says; ``tuser`` with
    ``tlast`` (it is damaged, or taken back) and beats that are not well-formed (see
    :class:`FromAxiStream`) make it nullified, so it leaves no trace in the switch.

    Latency is 3 cycles from the beat with ``tlast``; with beats of less than 32 bytes 4. Throughput
    is 1 beat of AXI per cycle, also across TLPs; ``tready`` is always 1.

    Specification: PCI Express Base Specification, 2.2; Arm IHI 0051B, AMBA AXI-Stream.

    Parameters
    ----------
    data_bytes : int
        Bytes of an AXI beat: 8, 16, 32, 64 or 128. A beat of TLPs has a segment for each 32, and
        at least one.

    Members
    -------
    s_axis_tdata, s_axis_tkeep, s_axis_tlast, s_axis_tuser, s_axis_tvalid, s_axis_tready
        Bus, see :class:`AxiStreamSignature`.
    o : Out(TlpBeatLayout(segment_count_of(data_bytes)))
        Segments, a strobe; registered.
    malformed : Out(1)
        As of :class:`FromAxiStream`.

    Raises
    ------
    ValueError
        If ``data_bytes`` is another.
    """

    o: Any
    malformed: Signal

    def __init__(self, *, data_bytes: int):
        self.segment_count = segment_count_of(data_bytes)
        self.data_bytes = data_bytes
        bus = AxiStreamSignature(data_bytes)
        self.names = tuple(bus.members)
        super().__init__(
            {
                **{name: member.flip() for name, member in bus.prefixed("s_axis").items()},
                "o": Out(TlpBeatLayout(self.segment_count)),
                "malformed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi = axi = FromAxiStream(data_bytes=self.data_bytes)
        m.submodules.splitter = splitter = TlpSplitter(segment_count=self.segment_count)
        for name in self.names:
            outer, inner = getattr(self, f"s_axis_{name}"), getattr(axi.s_axis, name)
            m.d.comb += outer.eq(inner) if name == "tready" else inner.eq(outer)
        packets = axi.o
        if self.data_bytes < SEGMENT_BYTES:
            m.submodules.upsizer = upsizer = Upsizer(i_bytes=self.data_bytes, o_bytes=SEGMENT_BYTES)
            wiring.connect(m, packets, upsizer.i)
            packets = upsizer.o
        wiring.connect(m, packets, splitter.i)
        m.d.comb += [self.o.eq(splitter.o), self.malformed.eq(axi.malformed)]
        return m
