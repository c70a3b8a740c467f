"""Which tags have ended, and how."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .memory_port import MemoryStatus
from .parts import TagEndedLayout

__all__ = ["EndedTags", "is_seen"]


def is_seen(seen: Sequence[Any], tag: Value) -> Value:
    """Whether ``tag`` is one of those on the strobes ``seen``."""
    return Cat(strobe.valid & (strobe.tag == tag) for strobe in seen).any()


class EndedTags(wiring.Component):
    """Remember of each tag whether it has ended since it was issued, and with which status.

    No flip-flop a tag: a bit in a RAM, which is turned over when the tag ends. What it was when the
    tag was issued, its ``mark``, goes with the tag to the lookup. So the RAM has one writer, and
    nothing has to be cleared after reset. The bit that the end writes is the inverse of the mark,
    kept in another RAM, so that a tag that ends twice has still ended.

    ``ended`` knows of tags that are on ``seen`` by then, so who keeps what it looked up and watches
    ``seen`` from the next cycle on misses none. A tag that never was issued is undefined.

    Latency of a lookup is 1 cycle, throughput 1 a cycle; a lookup of a tag is at least 2 cycles
    after its ``issue``.

    Specification: this docstring.

    Parameters
    ----------
    tag_count : int
        Tags, 2 or more.
    done_count : int
        Tags that end in a cycle, 1 or 2; 2 are of different parity.

    Members
    -------
    issue : In(1), issue_tag : In(range(tag_count))
        Strobe: the tag goes out. It ends 2 cycles later or after that.
    mark : Out(1)
        Of ``issue_tag``, 1 cycle after ``issue``; combinational from registers.
    done : In(TagEndedLayout(tag_count)).array(done_count)
        Strobes: tags that end.
    lookup : In(1), lookup_tag : In(range(tag_count)), lookup_mark : In(1)
        Which tag to look up, and its mark.
    ended : Out(1)
        Whether it has ended; 2 cycles after ``lookup``, combinational from registers.
    seen : Out(TagEndedLayout(tag_count)).array(done_count)
        ``done``, 2 cycles later.
    status_tag : In(range(tag_count)), status : Out(MemoryStatus)
        How a tag ended that was on ``seen`` or known by a lookup before; 2 cycles later,
        combinational from registers.
    """

    issue: Signal
    issue_tag: Signal
    mark: Signal
    done: list[Any]
    lookup: Signal
    lookup_tag: Signal
    lookup_mark: Signal
    ended: Signal
    seen: list[Any]
    status_tag: Signal
    status: Signal

    def __init__(self, *, tag_count: int, done_count: int):
        self.tag_count = tag_count
        self.done_count = done_count
        # With fewer tags, LUTs take less room.
        self.block = tag_count >= 64 * done_count
        super().__init__(
            {
                "issue": In(1),
                "issue_tag": In(range(tag_count)),
                "mark": Out(1),
                "done": In(TagEndedLayout(tag_count)).array(done_count),
                "lookup": In(1),
                "lookup_tag": In(range(tag_count)),
                "lookup_mark": In(1),
                "ended": Out(1),
                "seen": Out(TagEndedLayout(tag_count)).array(done_count),
                "status_tag": In(range(tag_count)),
                "status": Out(MemoryStatus),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bank_count = self.done_count
        bank_bits = bank_count - 1
        depth = max(2, -(-self.tag_count // bank_count))

        def bank_of(tag: Value) -> Value:
            return tag[:bank_bits] if bank_bits else C(0, 1)

        issue = Signal()
        issue_tag = Signal(range(self.tag_count), reset_less=True)
        looked_up = Signal(range(self.tag_count), reset_less=True)
        looked_up_mark = Signal(reset_less=True)
        late_looked_up = Signal(range(self.tag_count), reset_less=True)
        late_mark = Signal(reset_less=True)
        status_tag = Signal(range(self.tag_count), reset_less=True)
        status_of = Signal(range(self.tag_count), reset_less=True)
        m.d.sync += [
            issue.eq(self.issue),
            issue_tag.eq(self.issue_tag),
            looked_up.eq(self.lookup_tag),
            looked_up_mark.eq(self.lookup_mark),
            late_looked_up.eq(looked_up),
            late_mark.eq(looked_up_mark),
            status_tag.eq(self.status_tag),
            status_of.eq(status_tag),
        ]
        for number, (strobe, seen) in enumerate(zip(self.done, self.seen, strict=True)):
            earlier = Signal(TagEndedLayout(self.tag_count), name=f"done_{number}")
            m.d.sync += [earlier.eq(strobe), seen.eq(earlier)]

        # Of the two cycles before and that of `ended`, the RAM knows the first.
        has_ended = Signal()
        ended_before = Signal(reset_less=True)
        ends_now = Signal()
        m.d.sync += ended_before.eq(is_seen(self.seen, looked_up))
        m.d.comb += [
            ends_now.eq(is_seen(self.seen, late_looked_up)),
            self.ended.eq(has_ended | ended_before | ends_now),
        ]

        for bank in range(bank_count):
            # Of the tags that end, the one of this bank.
            strobe = Signal(TagEndedLayout(self.tag_count), name=f"strobe_{bank}")
            ends = Signal(TagEndedLayout(self.tag_count), name=f"ends_{bank}")
            m.d.comb += strobe.eq(self.done[-1])
            if bank_bits:
                for done in self.done:
                    with m.If(done.valid & (bank_of(done.tag) == bank)):
                        m.d.comb += strobe.eq(done)
                m.d.comb += strobe.valid.eq(
                    Cat(done.valid & (bank_of(done.tag) == bank) for done in self.done).any()
                )
            m.d.sync += ends.eq(strobe)

            def ram(name: str, shape: Any, latency: int, bank: int = bank) -> SimpleDualPortRam:
                """Make a RAM with a row for each tag of the bank."""
                memory = SimpleDualPortRam(
                    shape=shape,
                    depth=depth,
                    lane_count=1,
                    latency=latency,
                    bypass=False,
                    block=self.block,
                )
                m.submodules[f"{name}_{bank}"] = memory
                return memory

            def read(memory: SimpleDualPortRam, en: Value, tag: Value) -> None:
                """Read the row of ``tag``."""
                m.d.comb += [memory.read_en.eq(en), memory.read_address.eq(tag[bank_bits:])]

            def write(memory: SimpleDualPortRam, en: Value, tag: Value, value: Value) -> None:
                """Write the row of ``tag``."""
                m.d.comb += [
                    memory.write_lanes.eq(en),
                    memory.write_address.eq(tag[bank_bits:]),
                    memory.write_data.eq(value),
                ]

            # The bit is there twice: for who issues tags, and for lookups.
            marks = ram("marks", 1, latency=1)
            over = ram("over", 1, latency=1)
            over_lookup = ram("over_lookup", 1, latency=2)
            status = ram("status", 3, latency=2)
            read(over, self.issue & (bank_of(self.issue_tag) == bank), self.issue_tag)
            write(marks, issue & (bank_of(issue_tag) == bank), issue_tag, over.read_data)
            read(marks, strobe.valid, strobe.tag)
            for memory in (over, over_lookup):
                write(memory, ends.valid, ends.tag, ~marks.read_data)
            write(status, ends.valid, ends.tag, Value.cast(ends.status))
            read(over_lookup, self.lookup, self.lookup_tag)
            read(status, C(1), self.status_tag)

            with m.If(bank_of(issue_tag) == bank):
                m.d.comb += self.mark.eq(over.read_data)
            with m.If(bank_of(late_looked_up) == bank):
                m.d.comb += has_ended.eq(over_lookup.read_data != late_mark)
            with m.If(bank_of(status_of) == bank):
                m.d.comb += self.status.eq(status.read_data)
        return m
