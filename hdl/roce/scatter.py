"""Scatter lists of receive requests, and how a packet is shared out over them."""

import operator
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .advance import add_in_halves
from .config import RoceConfig
from .layouts import OFFSET_BITS, PAYLOAD_BITS, SpanLayout

__all__ = ["ScatterJobLayout", "ScatterPieceLayout", "ScatterRowLayout", "ScatterWalk"]

#: Bytes of a list that an IP header has in front of a datagram's payload (IBTA Annex A17).
_HEADER_BYTES = 40
#: Bytes of an IPv4 header without options; it stands at the end of the 40.
_V4_BYTES = 20


class ScatterRowLayout(data.StructLayout):
    """An entry of a scatter list: bytes of memory, to be written in row ``row``.

    ``row`` is the receive request's handle times ``config.scatter_entries``, plus the number of
    the entry.
    """

    def __init__(self, config: RoceConfig):
        row_bits = (config.receive_requests * config.scatter_entries - 1).bit_length()
        entry = data.StructLayout({"space": 2, "address": 64, "length": 32})
        super().__init__({"row": row_bits, "span": entry})


class ScatterJobLayout(data.StructLayout):
    """A packet to share out; fields as in ``ActionLayout``. Only a datagram may have no payload."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue_pair": config.bits("queue_pairs"),
                "handle": config.bits("receive_requests"),
                "begins": 1,
                "is_datagram": 1,
                "v6": 1,
                "ip_offset": OFFSET_BITS,
                "payload_offset": OFFSET_BITS,
                "payload_bytes": PAYLOAD_BITS,
            }
        )


class ScatterPieceLayout(data.StructLayout):
    """Bytes of a packet that go to one place.

    Fields
    ------
    skip : 13 bits
        Where in the packet they begin.
    span : SpanLayout()
        Where they go, and how many they are: 1 at least, if not ``short``.
    last : 1 bit
        Final piece of the packet.
    short : 1 bit
        With ``last``: the list has ended, and what is left of the packet has no place. No bytes.
    """

    def __init__(self):
        super().__init__({"skip": PAYLOAD_BITS, "span": SpanLayout(), "last": 1, "short": 1})


class ScatterWalk(wiring.Component):
    """Walk scatter lists.

    A packet fills the entries of its receive request's list in order, from the beginning of the
    list or from where the last packet of its queue pair ended; entries of length 0 are
    passed over. A datagram first brings its IP header, for the first 40 bytes of the list: all of
    them with IPv6, the last 20 with IPv4, when the 20 before them stay as they are.

    Where a packet ended is not kept when its list was too short, nor reset: the next one of that
    queue pair has to begin.

    Latency is 2 cycles from a job's first cycle to its first piece, or 4 if the job does not begin
    a list. Throughput is one entry per cycle, and as many cycles more for each job; an IPv6 header
    takes 3 cycles more and an IPv4 header 6: what follows in the same entry looks it up again. With
    narrow beats a register is behind the lists' block RAM: latency is 5 cycles then, and headers
    take 4 and 8 more.

    Specification: this docstring; IBTA Annex A17 (IP headers).

    Parameters
    ----------
    config : RoceConfig
        ``queue_pairs``, ``receive_requests`` and ``scatter_entries`` count.

    Members
    -------
    rows : In(stream.Signature(ScatterRowLayout(config)))
        Entries to be written; ``rows.ready`` is 1. A list is not written while it may be walked.
    jobs : In(stream.Signature(ScatterJobLayout(config)))
        Packets; a job is accepted with its last piece: ``jobs.ready`` depends combinationally on
        ``o.ready``.
    o : Out(stream.Signature(ScatterPieceLayout()))
        Pieces; ``span.length``, ``last`` and ``valid`` are combinational functions of registers.
    """

    rows: stream.Interface
    jobs: stream.Interface
    o: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "rows": In(stream.Signature(ScatterRowLayout(config))),
                "jobs": In(stream.Signature(ScatterJobLayout(config))),
                "o": Out(stream.Signature(ScatterPieceLayout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        row_layout: Any = ScatterRowLayout(config)["span"].shape
        entry_bits = (config.scatter_entries - 1).bit_length()
        # Where a packet ended; with `is_new`, at an entry's beginning, whatever `offset` says.
        progress_layout = data.StructLayout({"entry": entry_bits + 1, "is_new": 1, "offset": 32})
        m.submodules.lists = lists = SimpleDualPortRam(
            shape=row_layout,
            depth=max(2, config.receive_requests * config.scatter_entries),
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        m.submodules.progress = progress = SimpleDualPortRam(
            shape=progress_layout,
            depth=config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=False,
            block=not config.is_narrow,
        )
        m.d.comb += [
            self.rows.ready.eq(1),
            lists.write_lanes.eq(self.rows.valid),
            lists.write_address.eq(self.rows.p.row),
            lists.write_data.eq(self.rows.p.span),
        ]

        job: Any = self.jobs.p
        # The entry at work and what of it is used up; beyond the last one, the list has ended.
        entry = Signal(entry_bits + 1)
        offset = Signal(32)  # 0 between packets
        place: Any = Signal(row_layout, reset_less=True)  # what is free of it
        # Into the high halves of its address and of its length, to be added and subtracted yet.
        carry = Signal(reset_less=True)
        borrow = Signal(reset_less=True)
        place_valid = Signal()
        # The row behind it, in the RAM's output.
        fetch = Signal(entry_bits)
        row: Any = lists.read_data
        row_valid = Signal()
        # What there is to place of this part of the packet, and where it begins.
        left = Signal(PAYLOAD_BITS, reset_less=True)
        at = Signal(PAYLOAD_BITS, reset_less=True)
        passes = Signal()  # bytes of the list that stay as they are
        is_header = Signal()
        is_bare = Signal()  # there is no payload behind the header

        ended = Signal()
        difference = Signal(PAYLOAD_BITS + 1)
        is_large = Signal()
        ends_part = Signal()
        ends_entry = Signal()
        ends_packet = Signal()
        shows = Signal()
        steps = Signal()
        walks = Signal()
        m.d.comb += [
            ended.eq(entry[-1]),
            difference.eq(left - place.length[:PAYLOAD_BITS]),
            is_large.eq(
                place.length[PAYLOAD_BITS:16].any() | (place.length[16:] != borrow),
            ),
            ends_entry.eq(~is_large & ~difference[-1]),
            ends_part.eq(is_large | difference[-1] | (difference == 0)),
            ends_packet.eq(ends_part & ~passes & (~is_header | is_bare)),
            shows.eq(place_valid & ~passes & (is_large | place.length[:PAYLOAD_BITS].any())),
            steps.eq(walks & ~ended & place_valid & (~shows | self.o.ready)),
            self.o.valid.eq(walks & (ended | shows)),
            self.o.p.skip.eq(at),
            self.o.p.span.space.eq(place.space),
            self.o.p.span.address.eq(Cat(place.address[:32], place.address[32:] + carry)),
            self.o.p.span.length.eq(Mux(ends_part, left, place.length)),
            self.o.p.last.eq(ended | ends_packet),
            self.o.p.short.eq(ended),
            self.jobs.ready.eq(walks & Mux(ended, self.o.ready, steps & ends_packet)),
        ]

        next_entry = Signal.like(entry)
        next_offset = Signal.like(offset)
        saved: Any = progress.write_data
        resumed: Any = progress.read_data
        m.d.comb += [
            next_entry.eq(entry + ends_entry),
            next_offset.eq(offset + left),
            progress.read_en.eq(~walks),
            progress.read_address.eq(job.queue_pair),
            progress.write_lanes.eq(steps & ends_packet),
            progress.write_address.eq(job.queue_pair),
            saved.entry.eq(next_entry),
            saved.is_new.eq(ends_entry),
            saved.offset.eq(next_offset),
        ]

        begins = Signal()
        begins_list = Signal()  # with its first entry, which was read while nothing was known yet
        loads_payload = Signal()
        m.d.comb += loads_payload.eq(Mux(begins, ~job.is_datagram, is_header))
        with m.FSM():
            with m.State("IDLE"), m.If(self.jobs.valid):
                if not config.is_narrow:
                    m.d.sync += fetch.eq(1)
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += begins.eq(1)
                if not config.is_narrow:
                    m.d.comb += begins_list.eq(job.begins)
                m.d.sync += [
                    entry.eq(Mux(job.begins, 0, resumed.entry)),
                    fetch.eq(Mux(job.begins, 0, resumed.entry)),
                    passes.eq(job.is_datagram & ~job.v6),
                    is_header.eq(job.is_datagram & job.v6),
                    is_bare.eq(job.payload_bytes == 0),
                ]
                m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += walks.eq(1)
                with m.If(self.jobs.ready):
                    m.next = "IDLE"

        is_new = Signal()
        m.d.comb += is_new.eq(Mux(begins, job.begins | resumed.is_new, ends_entry))
        with m.If(begins | steps):
            m.d.sync += offset.eq(Mux(begins, resumed.offset, next_offset))
            with m.If(is_new):
                m.d.sync += offset.eq(0)

        used = Signal(32)
        m.d.comb += [
            # Only what a walk begins with may be used up in part.
            used.eq(Mux(place_valid, 0, offset)),
            lists.read_en.eq(steps | ~place_valid),
            lists.read_address.eq(Cat(fetch, job.handle)),
        ]
        comes = row_valid | begins_list
        held_valid = Signal()
        if config.is_narrow:
            held: Any = Signal(row_layout, reset_less=True)
            with m.If(walks & lists.read_en):
                m.d.sync += [held.eq(row), held_valid.eq(row_valid)]
            row, comes = held, held_valid
        # In one carry chain, where an FPGA has them; they pay for themselves there.
        add = operator.add if config.is_narrow else add_in_halves
        with m.If((walks & lists.read_en) | begins_list):
            m.d.sync += [fetch.eq(fetch + 1), row_valid.eq(1), place_valid.eq(comes)]
            m.d.sync += [
                place.space.eq(row.space),
                Cat(place.address[:32], carry).eq(add(row.address[:32], used)),
                place.address[32:].eq(row.address[32:]),
                Cat(place.length[:16], borrow).eq(row.length[:16] - used[:16]),
                place.length[16:].eq(row.length[16:] - used[16:]),
            ]
        with m.If(steps):
            m.d.sync += [
                entry.eq(next_entry),
                # This is for what is behind the entry; behind the part, both begin anew.
                at.eq(at + place.length),
                left.eq(difference),
            ]
            with m.If(ends_part):
                m.d.sync += [passes.eq(0), is_header.eq(passes)]
                with m.If(~ends_entry):
                    # What is behind the part goes into the rest of this entry: fetch it again.
                    m.d.sync += [
                        fetch.eq(entry),
                        row_valid.eq(0),
                        held_valid.eq(0),
                        place_valid.eq(0),
                    ]
        with m.If(begins | (steps & ends_part)):
            m.d.sync += [
                at.eq(Mux(loads_payload, job.payload_offset, job.ip_offset)),
                left.eq(
                    Mux(
                        loads_payload,
                        job.payload_bytes,
                        Mux(job.v6, _HEADER_BYTES, _V4_BYTES),
                    )
                ),
            ]
        with m.If(~walks & ~begins_list):
            m.d.sync += [row_valid.eq(0), held_valid.eq(0), place_valid.eq(0)]
        with m.If(self.jobs.ready):
            m.d.sync += [row_valid.eq(0), held_valid.eq(0), place_valid.eq(0)]
            if not config.is_narrow:
                # For the list of the next one, which is read before anything is known of it.
                m.d.sync += [fetch.eq(0), offset.eq(0)]
        return m
