"""First part of the completions' path: which lanes fit in a cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import (
    SEGMENT_DWORDS,
    CompletionStatus,
    TlpBeatLayout,
    TlpType,
    payload_dwords,
)
from .completion_parts import CompletionGroupLayout, CompletionLaneLayout, begun_count
from .limits import check_tag_count
from .memory_port import MemoryStatus
from .parts import TagDoneLayout

__all__ = ["CompletionGather"]


class CompletionGather(wiring.Component):
    """Cut beats of completions into groups of lanes that can be checked and stored in one cycle.

    In a group at most max(1, S/2) completions begin and as many end. At 4 segments two that begin,
    or two that end, have one tag, or tags of which one is even and one is odd. No bank is written
    twice, also not the one in which the end of the group before is written one cycle late.
    Completions are not torn: a group ends where another one begins, or with the beat.

    Lanes that belong to no TLP (no sop before them, or an idle lane or a sop since) are left out.
    What ``fail`` brings takes a cycle without lanes.

    Latency is 1 cycle. Throughput is 1 beat a cycle where a beat is one group. Nothing refuses
    a group, so ``i`` waits for the groups of one beat only, and for ``fail``.

    Specification: this docstring; PCI Express Base Specification, 2.2.9 (completion rules).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    tag_count : int
        Tags, 4 to 1024, even.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Completions. ``i.ready`` depends on registers and ``fail.valid``.
    requester : In(16)
        Our own ID.
    fail : In(stream.Signature(TagDoneLayout(tag_count)))
        Reads that have failed; ``ready`` is always 1.
    o : Out(CompletionGroupLayout(segment_count, tag_count))
        Group, strobe. Its lanes are registers; ``valid``, ``final`` and ``failed`` depend on
        registers and ``fail``.

    Attributes
    ----------
    rest : Signal
        State: lanes in which a TLP, or its part in this beat, begins that has not left.
    members : list of Signal
        State: lanes of the beat that belong to the TLP that begins in lane n.
    late : Signal
        State, one-hot: bank that is written one cycle late in this cycle.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    requester: Signal
    fail: stream.Interface
    o: Any

    def __init__(self, *, segment_count: int, tag_count: int):
        check_tag_count(tag_count)
        beat = TlpBeatLayout(segment_count)
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.begun = begun_count(segment_count)
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "requester": In(16),
                "fail": In(stream.Signature(TagDoneLayout(tag_count))),
                "o": Out(CompletionGroupLayout(segment_count, tag_count)),
            }
        )
        # What a TLP that goes on in the next beat has to say of that beat's lane 0; `left` are the
        # DW that its header promises from there on, and it is `over` if there were too many.
        self.part_layout = data.StructLayout(
            {
                "tag": range(tag_count),
                "bank": range(segment_count),
                "turn": range(SEGMENT_DWORDS),
                "digest": 1,
                "left": 11,
                "over": 1,
            }
        )
        self.is_open = Signal()
        self.rest = Signal(segment_count)
        self.members = [
            Signal(segment_count, name=f"held_member_{n}", reset_less=True)
            for n in range(segment_count)
        ]
        self.late = Signal(segment_count)

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        accepts = Signal()
        all_leave = Signal()
        m.d.comb += [self.i.ready.eq(all_leave), accepts.eq(self.i.valid & all_leave)]

        # Part n of a beat is the TLP that begins in lane n; part 0 may have begun before.
        parts, members, starts = self._parts(m)
        spills = self._lanes(m, parts, members, accepts)
        banks, final = self._banks(m, parts, members, spills)
        ends = Signal(count)
        eop = Cat(segment.eop for segment in self.i.p.segments)
        m.d.comb += ends.eq(Cat((member & eop).any() for member in members))

        # All that parts have to do with each other is known before they are looked at.
        clashes = {}
        for b in range(count):
            for a in range(b):
                both = (starts[a] & starts[b]) | (ends[a] & ends[b])
                if self.begun == 2:
                    tags = parts[a].tag, parts[b].tag
                    both &= (tags[0] != tags[1]) & (tags[0][0] == tags[1][0])
                clashes[a, b] = self._keep(
                    m, accepts, f"clash_{a}_{b}", (banks[a] & banks[b]).any() | both
                )
        held_banks = [self._keep(m, accepts, f"banks_{n}", banks[n]) for n in range(count)]
        held_starts = self._keep(m, accepts, "starts", starts)
        held_ends = self._keep(m, accepts, "ends", ends)
        held_final = self._keep(m, accepts, "final", final)

        # A part leaves if all before it leave and nothing speaks against it.
        leaves = Signal(count)
        stays = Signal(count)
        for n in range(count):
            before = [leaves[a] & clashes[a, n] for a in range(n)]
            too_many = []
            for mine in (held_starts, held_ends):
                for a in range(n):
                    too_many += [
                        leaves[a] & leaves[b] & mine[a] & mine[b] & mine[n] for b in range(a + 1, n)
                    ]
            refused = Cat(
                *before, *too_many, stays[:n].any(), (held_banks[n] & self.late).any()
            ).any()
            m.d.comb += [
                leaves[n].eq(self.rest[n] & ~self.fail.valid & ~refused),
                stays[n].eq(self.rest[n] & (self.fail.valid | refused)),
            ]
        late = held_final & leaves[0]
        m.d.comb += [
            all_leave.eq(~stays.any()),
            self.o.valid.eq(
                Cat(
                    Cat(leaves[part] & self.members[part][n] for part in range(n + 1)).any()
                    for n in range(count)
                )
            ),
            self.o.final.eq(late),
            self.fail.ready.eq(1),
            self.o.failed.valid.eq(self.fail.valid),
            self.o.failed.tag.eq(self.fail.p.tag),
            self.o.failed.status.eq(self.fail.p.status),
        ]
        m.d.sync += [
            self.rest.eq(stays),
            # It is the bank of lane 0, a row further.
            self.late.eq(Cat((self.o.lanes[0].bank == bank) & late for bank in range(count))),
        ]
        with m.If(accepts):
            m.d.sync += self.rest.eq(Cat(member.any() for member in members))
            for held, member in zip(self.members, members, strict=True):
                m.d.sync += held.eq(member)
        return m

    def _keep(self, m: Module, accepts: Value, name: str, value: Value) -> Signal:
        """Register ``value`` with the beat."""
        kept = Signal(len(value), name=f"held_{name}", reset_less=True)
        with m.If(accepts):
            m.d.sync += kept.eq(value)
        return kept

    def _parts(self, m: Module) -> tuple[list[Any], list[Signal], Signal]:
        """Of each part what is known of it, its lanes, and whether it has a sop."""
        count = self.segment_count
        is_open = self.is_open
        opened = Signal(self.part_layout, reset_less=True)
        segments: list[Any] = [self.i.p.segments[n] for n in range(count)]
        valid = self.i.p.valid
        starts = Signal(count)
        m.d.comb += starts.eq(valid & Cat(segment.sop for segment in segments))
        members = [Signal(count, name=f"lanes_of_{n}") for n in range(count)]
        parts = [Signal(self.part_layout, name=f"part_{n}") for n in range(count)]
        for number, (part, member) in enumerate(zip(parts, members, strict=True)):
            header = segments[number].header
            completion = header.specific.completion
            m.d.comb += [
                part.tag.eq(header.tag),
                part.bank.eq(completion.lower_address[5:]),
                part.turn.eq(completion.lower_address[2:5]),
                part.digest.eq(header.td),
                part.left.eq(payload_dwords(header)),
                part.over.eq(0),
            ]
            begins = starts[number]
            if not number:
                begins = begins | (valid[0] & is_open)
                with m.If(~starts[0]):
                    m.d.comb += part.eq(opened)
            m.d.comb += member[number].eq(begins)
            for n in range(number + 1, count):
                m.d.comb += member[n].eq(
                    member[n - 1] & ~segments[n - 1].eop & valid[n] & ~starts[n]
                )

        with m.If(self.i.valid & self.i.ready):
            last = [member[count - 1] & ~segments[-1].eop for member in members]
            m.d.sync += is_open.eq(Cat(last).any())
            # If no TLP goes on, they mean nothing: one cause less for what comes late anyway.
            for number, part in enumerate(parts):
                with m.If(last[number] if number else 1):
                    gone = count - number
                    over = Signal(name=f"over_{number}")
                    m.d.comb += over.eq(part.left[3:] < gone)
                    m.d.sync += [
                        opened.tag.eq(part.tag),
                        opened.bank.eq(part.bank + gone),
                        opened.turn.eq(part.turn),
                        opened.digest.eq(part.digest),
                        opened.over.eq(part.over | over),
                        opened.left.eq(
                            Mux(over, 0, Cat(part.left[:3], (part.left[3:] - gone)[:8]))
                        ),
                    ]
        return parts, members, starts

    def _lanes(
        self, m: Module, parts: list[Any], members: list[Signal], accepts: Value
    ) -> list[Signal]:
        """Keep the lanes; tell of each whether its TLP ends in the bank behind it."""
        count = self.segment_count
        spills = []
        for n in range(count):
            segment: Any = self.i.p.segments[n]
            lane = Signal(CompletionLaneLayout(count, self.tag_count), name=f"lane_{n}")
            digest = Signal(name=f"digest_{n}")
            more = Signal(name=f"more_{n}")
            over = Signal(name=f"lane_{n}_over")
            for number in range(n + 1):
                part, past = parts[number], n - number
                with m.If(members[number][n]):
                    place = Signal(range(2 * count), name=f"place_{number}_{n}")
                    above = Signal(8, name=f"above_{number}_{n}")
                    m.d.comb += [
                        place.eq(part.bank + past),
                        above.eq(part.left[3:]),
                        digest.eq(part.digest),
                        lane.turn.eq(part.turn),
                        lane.bank.eq(place),
                        lane.wrapped.eq(place >= count),
                        over.eq(part.over | (above < past)),
                        lane.count.eq(Mux(above > past, 8, Mux(above == past, part.left[:3], 0))),
                        more.eq((above > past + 1) | ((above == past + 1) & part.left[:3].any())),
                    ]
            goes_on = C(1)
            if n + 1 < count:
                goes_on = Cat(members[number][n + 1] for number in range(n + 1)).any()
            empty = Signal(5, name=f"empty_{n}")
            spill = Signal(name=f"spill_{n}")
            m.d.comb += [
                empty.eq(segment.empty + digest),
                spill.eq(lane.turn > empty),
                lane.spill.eq(Mux(segment.eop, spill, goes_on)),
                lane.miscounted.eq(more | over),
                lane.empty.eq(empty),
                lane.data.eq(segment.data),
                lane.sop.eq(segment.sop),
                lane.eop.eq(segment.eop),
                lane.nullified.eq(segment.nullified),
                *self._read_header(lane.header, segment.header),
            ]
            spills.append(spill)
            kept = Signal(lane.shape(), name=f"held_lane_{n}", reset_less=True)
            with m.If(accepts):
                m.d.sync += kept.eq(lane)
            m.d.comb += self.o.lanes[n].eq(kept)
        return spills

    def _read_header(self, header: Any, came: Any) -> list[Any]:
        """Reduce a TLP's header to what decides."""
        completion = came.specific.completion
        tag_bits = (self.tag_count - 1).bit_length()
        is_unsupported = completion.status == CompletionStatus.UNSUPPORTED_REQUEST
        has_data = (completion.status == CompletionStatus.SUCCESS) & came.has_data
        return [
            header.wanted.eq(
                (came.type == TlpType.COMPLETION)
                & (came.requester == self.requester)
                & ~came.tag[tag_bits:].any()
            ),
            header.tag.eq(came.tag),
            header.status.eq(
                Mux(
                    has_data,
                    MemoryStatus.OK,
                    Mux(is_unsupported, MemoryStatus.UNSUPPORTED, MemoryStatus.ABORT),
                )
            ),
            header.poisoned.eq(came.poisoned),
            header.dwords.eq(came.length),
            header.byte_count.eq(completion.byte_count),
            header.lower_address.eq(completion.lower_address),
        ]

    def _banks(
        self, m: Module, parts: list[Any], members: list[Signal], spills: list[Signal]
    ) -> tuple[list[Signal], Signal]:
        """Banks that each part writes; whether part 0 writes one more, a cycle late."""
        count = self.segment_count
        banks = []
        final = Signal()
        for number, (part, member) in enumerate(zip(parts, members, strict=True)):
            # Place n is the nth bank from its first; its last lane may end in one more.
            places: list[Value] = [C(0, 1)] * (count + 1)
            for past, n in enumerate(range(number, count)):
                ends = member[n] & self.i.p.segments[n].eop & spills[n]
                places[past] = places[past] | member[n]
                places[past + 1] = places[past + 1] | ends
            if not number:
                m.d.comb += final.eq(places[count])
            bank_mask = Signal(count, name=f"banks_of_{number}")
            for bank in range(count):
                m.d.comb += bank_mask[bank].eq(
                    Cat(
                        places[past] & (part.bank == (bank - past) % count) for past in range(count)
                    ).any()
                )
            banks.append(bank_mask)
        return banks, final
