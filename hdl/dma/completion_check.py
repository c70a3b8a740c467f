"""Second part of the completions' path: whether a completion is what was asked for."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..pcie.tlp import SEGMENT_DWORDS
from .completion_parts import (
    CompletionGroupLayout,
    CompletionHeaderLayout,
    TagAskedLayout,
    VerdictLayout,
    begun_count,
    owners_of,
)
from .completion_rules import (
    CompletionCandidateLayout,
    CompletionEndLayout,
    CompletionRules,
    ReadStateLayout,
)
from .limits import check_slot_bytes, check_tag_count
from .parts import TagEndedLayout
from .tag_table import TagTable

__all__ = ["CompletionCheck"]


class CompletionCheck(wiring.Component):
    """Compare completions with what their reads still have to get.

    A completion is *what was asked* if its requester and tag are those of a read that is out, it
    is successful, its byte count is what is missing, its lower address is that of the next byte,
    and it is no longer than that. Its data may be written from its first segment on; it counts
    when it has ended well. Then the read is done if nothing is missing.

    A completion of a read that is out but not what was asked ends that read, in the cycle in which
    it ends itself. One that belongs to no read is counted as unexpected. A nullified one, or one
    that is cut off without an eop, changes nothing.

    The address, length and missing bytes of a read are in RAMs, of which a pair of completions
    finds one each at 4 segments: for the even and for the odd tags. What a completion has changed
    is handed on to the completion of the same tag that follows at once.

    Latency is 4 cycles from ``i`` to ``verdict`` and ``unexpected``, 5 to ``done`` and ``out``.
    Throughput is a group a cycle.

    Specification: this docstring; PCI Express Base Specification, 2.2.9 (completion rules), 2.3.1.1
    (data return for read requests), 2.3.2 (completion handling rules).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    tag_count : int
        Tags, 4 to 1024, even.
    slot_bytes : int
        Bytes of a slot: 128 to 4096, a power of two.

    Members
    -------
    i : In(CompletionGroupLayout(segment_count, tag_count))
        Groups, as :class:`CompletionGather` makes them.
    asked : In(TagAskedLayout(tag_count))
        Reads that go out.
    verdict : Out(VerdictLayout(segment_count, tag_count, slot_bytes))
        For each group, registered.
    out : Out(tag_count)
        Bit n: the read of tag n has been asked for and has not ended; registered.
    done : Out(TagEndedLayout(tag_count)).array(max(1, segment_count // 2))
        Strobes, registered: reads that have ended. Two of a cycle differ in bit 0 of the tag.
    unexpected : Out(range(max(1, segment_count // 2) + 1))
        Strobe, registered: how many completions belonged to no read.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    asked: Any
    verdict: Any
    out: Signal
    done: list[Any]
    unexpected: Signal

    def __init__(self, *, segment_count: int, tag_count: int, slot_bytes: int):
        check_tag_count(tag_count)
        check_slot_bytes(slot_bytes)
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.begun = begun_count(segment_count)
        super().__init__(
            {
                "i": In(CompletionGroupLayout(segment_count, tag_count)),
                "asked": In(TagAskedLayout(tag_count)),
                "verdict": Out(VerdictLayout(segment_count, tag_count, slot_bytes)),
                "out": Out(tag_count),
                "done": Out(TagEndedLayout(tag_count)).array(self.begun),
                "unexpected": Out(range(self.begun + 1)),
            }
        )
        # What a read was asked for: the place behind its last byte, and its first byte count.
        self.read_layout = data.StructLayout({"end": 12, "byte_count": 12, "flush": 1})
        self.candidate_layout = CompletionCandidateLayout(segment_count, tag_count, slot_bytes)
        sizes = {"tag_count": tag_count, "port_count": self.begun}
        self.reads = TagTable(shape=self.read_layout, latency=2, **sizes)
        self.states = TagTable(shape=ReadStateLayout(), latency=0, **sizes)
        # No completion of the tag's read has come, so the RAM says nothing of it yet.
        self.fresh = Signal(tag_count)
        self.rules = CompletionRules(
            segment_count=segment_count, tag_count=tag_count, slot_bytes=slot_bytes
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rules = rules = self.rules
        m.d.comb += [self.verdict.eq(rules.verdict), self.unexpected.eq(rules.unexpected)]
        for done, ended in zip(self.done, rules.done, strict=True):
            m.d.comb += done.eq(ended)

        continued, begun = self._pick(m)
        self._compare(m, continued, begun)
        self._keep_out(m)
        return m

    def _pick(self, m: Module) -> tuple[Any, list[dict[str, Any]]]:
        """First cycle: what begins and ends in the group."""
        group = self.i
        lanes = range(self.segment_count)
        owners = owners_of(m, group, self.segment_count)
        wholes = Signal(self.segment_count)
        for n in lanes:
            lane = group.lanes[n]
            m.d.comb += wholes[n].eq(
                ~lane.miscounted & ((lane.count + lane.empty) == SEGMENT_DWORDS)
            )
        ends = []
        for owner in range(1 + self.begun):
            mine = Cat(owners[n][owner] for n in lanes)
            last = Cat(mine[n] & group.lanes[n].eop for n in lanes)
            end = Signal(CompletionEndLayout(), name=f"end_{owner}")
            m.d.sync += [
                end.valid.eq(mine.any()),
                end.ends.eq(last.any()),
                end.nullified.eq((last & Cat(lane.nullified for lane in group.lanes)).any()),
                end.whole.eq((last & wholes).any()),
            ]
            ends.append(end)

        begun = []
        for owner, end in enumerate(ends[1:], start=1):
            first = Cat(owners[n][owner] & group.lanes[n].sop for n in lanes)
            header = Signal(
                CompletionHeaderLayout(self.tag_count), name=f"header_{owner}", reset_less=True
            )
            # What was asked for is looked up at once: its RAM is slow. One lane needs no choice.
            tags = [group.lanes[n].header.tag for n in lanes]
            m.d.comb += self.reads.tags[owner - 1].eq(
                select_one_hot(first, tags) if len(tags) > 1 else tags[0]
            )
            wraps = Signal(name=f"wraps_{owner}", reset_less=True)
            failed = Signal(name=f"failed_{owner}")
            m.d.sync += [
                Value.cast(header).eq(
                    select_one_hot(first, [group.lanes[n].header for n in lanes])
                ),
                wraps.eq(Cat(first[n] & (group.lanes[n].bank >= n) for n in lanes).any()),
            ]
            if owner == 1:
                # Then the group has no lanes.
                m.d.sync += failed.eq(group.failed.valid)
                with m.If(group.failed.valid):
                    m.d.sync += [
                        header.wanted.eq(1),
                        header.tag.eq(group.failed.tag),
                        header.status.eq(group.failed.status),
                        end.valid.eq(1),
                        end.ends.eq(1),
                    ]
            begun.append({"end": end, "header": header, "wraps": wraps, "failed": failed})
        return ends[0], begun

    def _compare(self, m: Module, continued: Any, begun: list[dict[str, Any]]) -> None:
        """Second and third cycle: all but what completions have changed before."""
        asked = Signal(TagAskedLayout(self.tag_count), reset_less=True)
        asked_valid = Signal()
        m.d.sync += [asked.eq(self.asked), asked_valid.eq(self.asked.valid)]
        read = Signal(self.read_layout)
        is_flush = Signal()
        m.d.comb += [
            is_flush.eq(asked.length == 0),
            # A flush is completed as a read of one byte is (2.2.5, 2.3.1.1).
            read.end.eq(asked.address + (asked.length[:12] | is_flush)),
            read.byte_count.eq(asked.length[:12] | is_flush),
            read.flush.eq(is_flush),
        ]
        m.submodules.reads = reads = self.reads
        m.submodules.states = states = self.states
        for write in reads.write:
            m.d.comb += write.eq(Cat(asked_valid, asked.tag, read))
        changes = self.rules.change
        for write, change in zip(states.write, changes, strict=True):
            m.d.comb += write.eq(Cat(change.valid, change.tag, change.state))
        second = Signal(CompletionEndLayout())
        third = Signal(CompletionEndLayout())
        m.d.sync += [second.eq(continued), third.eq(second)]
        m.d.comb += self.rules.continued.eq(third)
        headers = []
        for number, (one, read) in enumerate(zip(begun, reads.rows, strict=True), start=1):
            header, end = one["header"], one["end"]
            kept: Any = Signal(header.shape(), name=f"kept_header_{number}", reset_less=True)
            kept_end = Signal(CompletionEndLayout(), name=f"kept_end_{number}")
            kept_wraps = Signal(name=f"kept_wraps_{number}", reset_less=True)
            kept_failed = Signal(name=f"kept_failed_{number}", reset_less=True)
            # Bytes from the first DW on, as far as the header knows.
            span = Signal(13, name=f"span_{number}", reset_less=True)
            total = Cat(header.byte_count, header.byte_count == 0)
            m.d.sync += [
                kept.eq(header),
                kept_end.eq(end),
                kept_wraps.eq(one["wraps"]),
                kept_failed.eq(one["failed"]),
                span.eq(total + header.lower_address[:2]),
            ]
            headers.append(kept)
            candidate = Signal(self.candidate_layout, name=f"candidate_{number}", reset_less=True)
            last_end = Signal(CompletionEndLayout(), name=f"last_end_{number}")
            m.d.comb += [
                self.rules.begun[number - 1].eq(candidate),
                self.rules.ends[number - 1].eq(last_end),
            ]
            m.d.sync += [
                last_end.eq(kept_end),
                candidate.wraps.eq(kept_wraps),
                candidate.failed.eq(kept_failed),
                candidate.tag.eq(kept.tag),
                candidate.status.eq(kept.status),
                candidate.poisoned.eq(kept.poisoned),
                candidate.byte_count.eq(kept.byte_count),
                *self._judge(m, number, candidate, kept, span, read),
            ]
            is_out = Signal(name=f"is_out_{number}")
            is_fresh = Signal(name=f"is_fresh_{number}")
            # What the change of the last cycle has done is not in `out` and `fresh` yet.
            touched = Signal(self.begun, name=f"touched_{number}")
            ended = touched & Cat(one.ends for one in self.rules.changed)
            m.d.comb += [
                touched.eq(Cat(one.valid & (one.tag == kept.tag) for one in self.rules.changed)),
                is_out.eq(self.out.bit_select(kept.tag, 1) & ~ended.any()),
                is_fresh.eq(self.fresh.bit_select(kept.tag, 1) & ~touched.any()),
            ]
            m.d.sync += [
                candidate.is_out.eq(is_out & kept.wanted),
                candidate.same_tail.eq(kept.tag == self.rules.tail_tag),
                candidate.same_write.eq(Cat(kept.tag == one.tag for one in changes)),
                candidate.same_first.eq(kept.tag == headers[0].tag),
            ]
            # The state of a read is in the table from its first completion on.
            state = Signal(ReadStateLayout(), name=f"state_{number}", reset_less=True)
            m.d.comb += [
                states.tags[number - 1].eq(kept.tag),
                self.rules.state[number - 1].eq(state),
            ]
            m.d.sync += state.eq(states.rows[number - 1])
            with m.If(is_fresh):
                m.d.sync += [state.missing.eq(read.byte_count), state.poisoned.eq(0)]

    def _judge(
        self, m: Module, number: int, candidate: Any, header: Any, span: Signal, read: Any
    ) -> list[Any]:
        """Whether a completion agrees with the read and itself, given its byte count is right."""
        row_bits = 5 + (self.segment_count - 1).bit_length()
        slot_bits = self.slot_bytes.bit_length() - 1
        following = Signal(12, name=f"following_{number}")
        address_fits = Signal(name=f"address_fits_{number}")
        # DW that are missing behind this completion; -1 for the part of a DW that has come too.
        beyond = Signal(signed(13), name=f"beyond_{number}")
        ends_read = Signal(name=f"ends_read_{number}")
        dwords = Cat(header.dwords, header.dwords == 0)
        m.d.comb += [
            following.eq(read.end - header.byte_count),
            address_fits.eq(
                (following[2:7] == header.lower_address[2:])
                & ((following[:2] == header.lower_address[:2]) | read.flush)
            ),
            beyond.eq(span[2:] - dwords),
            ends_read.eq(Mux(span[:2] == 0, beyond == 0, beyond == -1)),
        ]
        return [
            candidate.fits.eq(address_fits & (ends_read | ~beyond[-1])),
            candidate.last.eq(ends_read),
            candidate.after.eq(Cat(span[:2], beyond[:10])),
            candidate.row.eq(following[row_bits:slot_bits]),
        ]

    def _keep_out(self, m: Module) -> None:
        """Set ``out`` when a tag is asked for; clear it, a cycle late, when its read ends."""
        sets = Signal(self.tag_count)
        clears = Signal(self.tag_count)
        touched = Signal(self.tag_count)
        ends: list[Value] = []
        touches: list[Value] = []
        for number, changed in enumerate(self.rules.changed):
            bit = Signal(self.tag_count, name=f"bit_{number}")
            m.d.comb += bit.eq(C(1, 1) << changed.tag)
            touches.append(Mux(changed.valid, bit, 0))
            ends.append(Mux(changed.valid & changed.ends, bit, 0))
        m.d.comb += [
            sets.eq(Mux(self.asked.valid, C(1, 1) << self.asked.tag, 0)),
            clears.eq(ends[0] | ends[-1]),
            touched.eq(touches[0] | touches[-1]),
        ]
        m.d.sync += [
            self.out.eq((self.out & ~clears) | sets),
            self.fresh.eq((self.fresh & ~touched) | sets),
        ]
