"""Where it is decided what a completion does to its read: the only loop of the path."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .completion_parts import VerdictLayout, begun_count
from .memory_port import MemoryStatus
from .parts import TagEndedLayout, row_bytes_of

__all__ = [
    "CompletionCandidateLayout",
    "CompletionEndLayout",
    "CompletionRules",
    "ReadChangeLayout",
    "ReadStateLayout",
]


class CompletionEndLayout(data.StructLayout):
    """Lanes of one completion in a group: there are some; among them is its end, and which."""

    def __init__(self):
        super().__init__({"valid": 1, "ends": 1, "nullified": 1, "whole": 1})


class ReadStateLayout(data.StructLayout):
    """Bytes of a read that are missing, modulo 4096; whether some that came were poisoned."""

    def __init__(self):
        super().__init__({"missing": 12, "poisoned": 1})


class ReadChangeLayout(data.StructLayout):
    """Strobe: what a completion did to a read: its new state, or its end."""

    def __init__(self, tag_count: int):
        super().__init__(
            {"valid": 1, "tag": range(tag_count), "ends": 1, "state": ReadStateLayout()}
        )


class CompletionCandidateLayout(data.StructLayout):
    """A completion that begins, and what is known of it without what went just before.

    Fields
    ------
    tag, status, poisoned, byte_count
        Of its header; see :class:`CompletionHeaderLayout`.
    failed : 1 bit
        It is no completion, but the word that a read failed, with ``status``.
    fits : 1 bit
        Lower address and length are right if the byte count is.
    last : 1 bit
        Then nothing is missing behind it; otherwise ``after`` bytes are.
    row : range(slot rows)
        Row of its first byte.
    wraps : 1 bit
        What it has behind this group begins in the next row.
    is_out : 1 bit
        Its read was out a cycle ago.
    same_tail, same_write, same_first
        Its tag is that of the completion that began last before the group; of each change of the
        last cycle; of the first completion of the group.
    """

    def __init__(self, segment_count: int, tag_count: int, slot_bytes: int):
        super().__init__(
            {
                "tag": range(tag_count),
                "status": MemoryStatus,
                "poisoned": 1,
                "byte_count": 12,
                "failed": 1,
                "fits": 1,
                "last": 1,
                "after": 12,
                "row": range(max(2, slot_bytes // row_bytes_of(segment_count))),
                "wraps": 1,
                "is_out": 1,
                "same_tail": 1,
                "same_write": begun_count(segment_count),
                "same_first": 1,
            }
        )

    def format(self, value: Any, format_spec: Any) -> Any:
        """Show a candidate as one number: Verilog would have a wire for each field of each."""
        return Format("{:x}", value.as_value())


class CompletionRules(wiring.Component):
    """Decide about the completions of a group, one after the other, in one cycle.

    See :class:`CompletionCheck`, whose parameters it has.

    Members
    -------
    continued : In(CompletionEndLayout())
        Lanes of the completion that began last before the group.
    begun : In(CompletionCandidateLayout(...)).array(n), present : In(1).array(n)
        Completions that begin in the group.
    ends : In(CompletionEndLayout()).array(n)
        Their lanes.
    state : In(ReadStateLayout()).array(n)
        Of their reads, a cycle ago.
    change : Out(ReadChangeLayout(tag_count)).array(n)
        What they do; combinational.
    changed : Out(ReadChangeLayout(tag_count)).array(n)
        ``change`` of the last cycle.
    tail_tag : Out(range(tag_count))
        Tag of the completion that began last; combinational.
    verdict, done, unexpected
        As of :class:`CompletionCheck`, registered.
    """

    continued: Any
    begun: list[Any]
    ends: list[Any]
    state: list[Any]
    change: list[Any]
    changed: list[Any]
    tail_tag: Signal
    verdict: Any
    done: list[Any]
    unexpected: Signal

    def __init__(self, *, segment_count: int, tag_count: int, slot_bytes: int):
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        begun = begun_count(segment_count)
        candidate = CompletionCandidateLayout(segment_count, tag_count, slot_bytes)
        super().__init__(
            {
                "continued": In(CompletionEndLayout()),
                "begun": In(candidate).array(begun),
                "ends": In(CompletionEndLayout()).array(begun),
                "state": In(ReadStateLayout()).array(begun),
                "change": Out(ReadChangeLayout(tag_count)).array(begun),
                "changed": Out(ReadChangeLayout(tag_count)).array(begun),
                "tail_tag": Out(range(tag_count)),
                "verdict": Out(VerdictLayout(segment_count, tag_count, slot_bytes)),
                "done": Out(TagEndedLayout(tag_count)).array(begun),
                "unexpected": Out(range(begun + 1)),
            }
        )
        # A completion under way: `alive` if its read is out, `writes` if it is what was asked.
        self.ruled_layout = data.StructLayout(
            {
                "tag": range(tag_count),
                "row": candidate["row"].shape,
                "alive": 1,
                "writes": 1,
                "finishes": 1,
                "status": MemoryStatus,
                "state": ReadStateLayout(),
            }
        )
        self.tail = Signal(self.ruled_layout)

    def elaborate(self, platform):
        m = Module()
        tail = self.tail
        for changed, change in zip(self.changed, self.change, strict=True):
            m.d.sync += changed.eq(change)

        effects = [self._effect(m, "tail", tail, self.continued)]
        ruled = []
        for number, (candidate, end) in enumerate(zip(self.begun, self.ends, strict=True)):
            # What went before, oldest first; what comes later in the list counts.
            before = [
                (candidate.same_write[n] & changed.valid, changed.ends, changed.state)
                for n, changed in enumerate(self.changed)
            ]
            change, _ = effects[0]
            before.append((candidate.same_tail & change.valid, change.ends, change.state))
            state = Signal(ReadStateLayout(), name=f"state_{number}")
            matches = Signal(name=f"matches_{number}")
            is_out = Signal(name=f"is_out_{number}")
            ended = Cat(same & ends for same, ends, _ in before).any()
            m.d.comb += state.eq(self.state[number])
            for same, _, after in before:
                with m.If(same):
                    m.d.comb += state.eq(after)
            m.d.comb += [
                matches.eq(state.missing == candidate.byte_count),
                is_out.eq(end.valid & candidate.is_out & ~ended),
            ]
            poisoned = state.poisoned
            if number:
                # Whether the two fit together needs no state.
                change, _ = effects[1]
                same = Signal(name=f"same_{number}")
                m.d.comb += same.eq(candidate.same_first & change.valid)
                follows = self.begun[0].after == candidate.byte_count
                matches = Mux(same, follows, matches)
                poisoned = Mux(same, change.state.poisoned, poisoned)
                is_out = is_out & ~(same & change.ends)
            one = self._rule(m, number, candidate, is_out, matches, poisoned)
            ruled.append(one)
            effects.append(self._effect(m, f"begun_{number}", one, end))

        self._move_on(m, ruled)
        self._report(m, effects, ruled)
        return m

    def _rule(
        self, m: Module, number: int, candidate: Any, is_out: Value, matches: Value, poisoned: Value
    ) -> Any:
        """Decide about a completion that begins, before anything is known of its end."""
        one = Signal(self.ruled_layout, name=f"ruled_{number}")
        is_poisoned = Signal(name=f"is_poisoned_{number}")
        succeeds = ~candidate.failed & (candidate.status == MemoryStatus.OK)
        m.d.comb += [
            is_poisoned.eq(poisoned | candidate.poisoned),
            one.tag.eq(candidate.tag),
            one.row.eq(candidate.row),
            one.alive.eq(is_out),
            one.writes.eq(is_out & succeeds & candidate.fits & matches),
            one.finishes.eq(~one.writes | candidate.last),
            one.state.missing.eq(candidate.after),
            one.state.poisoned.eq(is_poisoned),
            one.status.eq(candidate.status),
        ]
        with m.If(succeeds):
            m.d.comb += one.status.eq(
                Mux(
                    one.writes,
                    Mux(is_poisoned, MemoryStatus.POISONED, MemoryStatus.OK),
                    MemoryStatus.ABORT,
                )
            )
        return one

    def _effect(self, m: Module, name: str, one: Any, end: Any) -> tuple[Any, Any]:
        """Tell what the end of a completion does, and how its read ends then."""
        change = Signal(ReadChangeLayout(self.tag_count), name=f"change_of_{name}")
        status = Signal(MemoryStatus, name=f"status_of_{name}")
        m.d.comb += [
            change.valid.eq(end.ends & ~end.nullified & one.alive),
            change.tag.eq(one.tag),
            change.ends.eq(one.finishes | ~end.whole),
            change.state.eq(one.state),
            status.eq(Mux(one.writes & ~end.whole, MemoryStatus.ABORT, one.status)),
        ]
        return change, status

    def _move_on(self, m: Module, ruled: list[Any]) -> None:
        """Remember the completion that began last, which may go on in the next group."""
        tail = self.tail
        first = self.begun[0]
        fails = Signal()
        m.d.comb += [self.tail_tag.eq(tail.tag), fails.eq(self.ends[0].valid & first.failed)]
        with m.If(self.continued.valid):
            m.d.sync += tail.row.eq(tail.row + 1)
        with m.If(fails & first.same_tail):
            m.d.sync += [tail.alive.eq(0), tail.writes.eq(0)]
        for number, (candidate, end) in enumerate(zip(self.begun, self.ends, strict=True)):
            begins = end.valid if number else end.valid & ~fails
            with m.If(begins):
                m.d.comb += self.tail_tag.eq(candidate.tag)
                m.d.sync += [
                    tail.eq(ruled[number]),
                    tail.row.eq(candidate.row + candidate.wraps),
                ]

    def _report(self, m: Module, effects: list[tuple[Any, Any]], ruled: list[Any]) -> None:
        """Hand on: of the completions that end in a group there are as many as may begin."""
        m.d.sync += self.verdict.writes.eq(Cat(one.writes for one in (self.tail, *ruled)))
        for number, one in enumerate((self.tail, *ruled)):
            m.d.sync += [
                self.verdict.tags[number].eq(one.tag),
                self.verdict.rows[number].eq(one.row),
            ]

        unexpected = [
            end.ends & ~end.nullified & ~one.alive & ~failed
            for end, one, failed in zip(
                (self.continued, *self.ends),
                (self.tail, *ruled),
                (C(0, 1), *(candidate.failed for candidate in self.begun)),
                strict=True,
            )
        ]
        m.d.sync += self.unexpected.eq(sum(unexpected, start=C(0, 1)))

        # The store writes what came with the end of a completion in two cycles.
        for number, (change, done) in enumerate(zip(self.change, self.done, strict=True)):
            ended = Signal(TagEndedLayout(self.tag_count), name=f"ended_{number}")
            late, early = effects[number + 1], effects[number]
            takes_early = Signal(name=f"takes_early_{number}")
            # The first that begins may be cut off by the second, so any two of three may end.
            m.d.comb += takes_early.eq(
                self.continued.ends & ~self.ends[number].ends if number else self.continued.ends
            )
            status = Mux(takes_early, early[1], late[1])
            m.d.comb += change.eq(Mux(takes_early, early[0], late[0]))
            m.d.sync += [
                ended.valid.eq(change.valid & change.ends),
                ended.tag.eq(change.tag),
                ended.status.eq(status),
                done.eq(ended),
            ]
