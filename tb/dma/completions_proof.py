"""Proofs of hdl.dma.Completions: whatever comes in, slots are written and reads end as they may."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import Completions
from hdl.dma.completion_check import CompletionCheck
from hdl.dma.completion_gather import CompletionGather
from hdl.dma.completion_parts import (
    CompletionGroupLayout,
    TagAskedLayout,
    begun_count,
    owners_of,
)
from hdl.dma.parts import TagDoneLayout
from hdl.pcie.tlp import TlpBeatLayout
from tb.prove import Proof

from ..stream.rules import assume_stream

__all__ = ["PROOFS"]

_TAGS = 4
_SLOT_BYTES = 128
_ROW_BITS = 2  # rows of a slot at one segment


class _Read:
    """Book of one tag, which the solver chooses.

    Parameters
    ----------
    m : Module
        Where it is kept.
    check : CompletionCheck
        Whose reads it follows.
    tag : Signal
        Which; assumed to stay the same.

    Attributes
    ----------
    busy : Signal
        The read has been asked for, and ``done`` was not given before this cycle.
    is_done : Signal
        It is given in this one.
    """

    def __init__(self, m: Module, check: CompletionCheck, tag: Signal):
        watched = Signal.like(tag)
        started = Signal()
        m.d.sync += [started.eq(1), watched.eq(tag)]
        is_asked = Signal()
        self.is_done = Signal()
        self.busy = Signal()
        m.d.comb += [
            is_asked.eq(check.asked.valid & (check.asked.tag == tag)),
            self.is_done.eq(Cat(done.valid & (done.tag == tag) for done in check.done).any()),
        ]
        with m.If(is_asked):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self.is_done):
            m.d.sync += self.busy.eq(0)
        is_out = Signal()
        m.d.comb += is_out.eq(check.out.bit_select(tag, 1))
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~started | (watched == tag), "one tag is watched"),
                Assume(~is_asked | ~self.busy, "a tag is asked for once until it is done"),
                Assert(self.busy == (is_out | self.is_done), "neither out nor done"),
                Assert(~(is_out & self.is_done), "out and done"),
            ]


def _goes_on(m: Module, group: Any, count: int) -> Signal:
    """Whether the last lane of all groups before ended no TLP."""
    goes_on = Signal()
    for n in range(count):
        with m.If(group.valid[n]):
            m.d.sync += goes_on.eq(~group.lanes[n].eop)
    return goes_on


def _state_of_reads(m: Module, check: CompletionCheck, goes_on: Signal, tag: Signal) -> None:
    """State of what is inside: only a read that is out goes on, changes or ends."""
    rules = check.rules
    for _ in range(3):
        later = Signal(name=f"{goes_on.name}_then")
        m.d.sync += later.eq(goes_on)
        goes_on = later
    alive = Signal()
    ended = Cat(one.valid & one.ends & (one.tag == tag) for one in rules.changed).any()
    m.d.comb += alive.eq(check.out.bit_select(tag, 1) & ~ended)
    tail = rules.tail
    with m.If(~ResetSignal()):
        m.d.comb += [
            Assert(~tail.writes | tail.alive, "written, but not out"),
            Assert(
                ~goes_on | ~tail.alive | (tail.tag != tag) | alive,
                "goes on, but its read has ended",
            ),
            *(
                Assert(~one.valid | (one.tag != tag) | alive, "a change of no read")
                for one in rules.change
            ),
        ]


class _OneTag(wiring.Component):
    """Anything at all comes in at one segment.

    Between two reads of a tag ``done`` is given once; its slot is written only from ``asked`` to
    ``done``, by one completion in a cycle.
    """

    i: stream.Interface
    fail: stream.Interface
    asked: Any
    requester: Signal
    tag: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "i": In(stream.Signature(TlpBeatLayout(1))),
                "fail": In(stream.Signature(TagDoneLayout(_TAGS))),
                "asked": In(TagAskedLayout(_TAGS)),
                "requester": In(16),
                "tag": In(range(_TAGS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.completions = block = Completions(
            segment_count=1, tag_count=_TAGS, slot_bytes=_SLOT_BYTES
        )
        wiring.connect(m, wiring.flipped(self.i), block.i)
        wiring.connect(m, wiring.flipped(self.fail), block.fail)
        m.d.comb += [block.asked.eq(self.asked), block.requester.eq(self.requester)]
        read = _Read(m, block.check, self.tag)
        if self.cover:
            (done,) = block.done
            m.d.comb += [
                Cover(read.is_done & (done.status == 0), "a read is done"),
                Cover(read.is_done & (done.status == 2), "a read is given up"),
            ]
            return m

        gather = block.gather
        lane = gather.o.lanes[0]
        goes_on = _goes_on(m, gather.o, 1)
        _state_of_reads(m, block.check, goes_on, self.tag)
        (ram,) = block.store.rams
        is_written = Signal()
        m.d.comb += is_written.eq(
            ram.write_lanes.any() & (ram.write_address[_ROW_BITS:] == self.tag)
        )
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~gather.rest[0] | gather.members[0][0], "a part without a lane"),
                Assert(~gather.rest[0] | lane.sop | goes_on, "a lane of no TLP"),
                Assert(
                    ~gather.is_open | Mux(gather.rest[0], ~lane.eop, goes_on),
                    "open, but the TLP has ended",
                ),
                Assert(~is_written | read.busy, "a slot is written that nobody waits for"),
            ]
        return m


class _Check(wiring.Component):
    """The check alone, given whatever groups there may be; several may begin and end at once."""

    group: Any
    asked: Any
    tag: Signal

    def __init__(self, *, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "group": In(CompletionGroupLayout(segment_count, _TAGS)),
                "asked": In(TagAskedLayout(_TAGS)),
                "tag": In(range(_TAGS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        m.submodules.check = check = CompletionCheck(
            segment_count=count, tag_count=_TAGS, slot_bytes=_SLOT_BYTES
        )
        group = self.group
        m.d.comb += [check.i.eq(group), check.asked.eq(self.asked)]
        goes_on = _goes_on(m, group, count)
        may_come = _group_rules(m, group, count, goes_on)
        read = _Read(m, check, self.tag)
        _state_of_reads(m, check, goes_on, self.tag)

        # Which completions of a group have lanes, when there is a verdict on it.
        lanes_of: Value = Cat(
            Cat(owner[n] for owner in owners_of(m, group, count)).any()
            for n in range(1 + begun_count(count))
        )
        for _ in range(4):
            later = Signal(len(lanes_of), name="lanes_of_then")
            m.d.sync += later.eq(lanes_of)
            lanes_of = later
        verdict = check.verdict

        # A completion that ends changes its read, or is unexpected.
        rules = check.rules
        ends = [end.ends & ~end.nullified for end in (rules.continued, *rules.ends)]
        ended = Signal(range(2 + len(ends)))
        fails = rules.ends[0].valid & rules.begun[0].failed
        m.d.sync += ended.eq(Mux(fails, 0, sum(ends, start=C(0, 1))))
        changed = sum((one.valid for one in rules.changed), start=C(0, 1))
        failed = Signal()
        m.d.sync += failed.eq(fails)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(may_come, "groups as they may be"),
                Assert(failed | (ended == changed + check.unexpected), "an end is lost"),
            ]
            for n, has_lanes in enumerate(lanes_of):
                is_written = has_lanes & verdict.writes[n] & (verdict.tags[n] == self.tag)
                m.d.comb += Assert(~is_written | read.busy, "written, but nobody waits for it")
        return m


def _group_rules(m: Module, group: Any, count: int, goes_on: Signal) -> Signal:
    """Tell whether a group keeps what CompletionGather promises."""
    lanes = range(count)
    tail_tag = Signal(range(_TAGS))  # of the TLP that goes on
    tags: list[Value] = []
    tag: Value = tail_tag
    for n in lanes:
        begins = group.valid[n] & group.lanes[n].sop
        now = Signal(range(_TAGS), name=f"tag_of_{n}")
        m.d.comb += now.eq(Mux(begins, group.lanes[n].header.tag, tag))
        tag = now
        tags.append(now)
    m.d.sync += tail_tag.eq(tag)
    starts = [group.valid[n] & group.lanes[n].sop for n in lanes]
    ends = [group.valid[n] & group.lanes[n].eop for n in lanes]
    most = begun_count(count)
    holds = [
        sum(starts, start=C(0, 1)) <= most,
        sum(ends, start=C(0, 1)) <= most,
        ~group.failed.valid | ~group.valid.any(),
    ]
    for n in lanes:
        before = goes_on if n == 0 else group.valid[n - 1] & ~group.lanes[n - 1].eop
        holds.append(~group.valid[n] | group.lanes[n].sop | before)
        if most == 2:
            for a in range(n):
                fit = (tags[a] == tags[n]) | (tags[a][0] != tags[n][0])
                holds.append(~((starts[a] & starts[n]) | (ends[a] & ends[n])) | fit)
    keeps = Signal()
    m.d.comb += keeps.eq(Cat(*holds).all())
    return keeps


class _Groups(wiring.Component):
    """Groups of whatever beats: they keep their rules, and no bank is written twice in a cycle.

    Banks are counted as CompletionStore uses them: that of each lane, the next one for what goes
    beyond it where the TLP ends, and in the next cycle what waited.
    """

    i: stream.Interface
    fail: stream.Interface

    def __init__(self, *, segment_count: int):
        self.segment_count = segment_count
        super().__init__(
            {
                "i": In(stream.Signature(TlpBeatLayout(segment_count))),
                "fail": In(stream.Signature(TagDoneLayout(_TAGS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        lanes = range(count)
        m.submodules.gather = gather = CompletionGather(segment_count=count, tag_count=_TAGS)
        wiring.connect(m, wiring.flipped(self.i), gather.i)
        wiring.connect(m, wiring.flipped(self.fail), gather.fail)
        assume_stream(m, "i", self.i)
        group = gather.o
        keeps_rules = _group_rules(m, group, count, _goes_on(m, group, count))
        bank_bits = (count - 1).bit_length()
        last = group.lanes[count - 1]
        waits = group.valid[count - 1] & group.final
        beyond_last = (last.bank + 1)[:bank_bits]
        late = Signal(count)
        m.d.sync += late.eq(Mux(waits, C(1, count) << beyond_last, 0))
        writes = []
        for n in lanes:
            lane = group.lanes[n]
            ends = group.valid[n] & lane.eop & lane.spill
            if n == count - 1:
                ends = ends & ~group.final
            writes += [(group.valid[n], lane.bank), (ends, (lane.bank + 1)[:bank_bits])]
        with m.If(~ResetSignal()):
            m.d.comb += Assert(keeps_rules, "a group against the rules")
            for bank in lanes:
                writers = [valid & (at == bank) for valid, at in writes] + [late[bank]]
                m.d.comb += Assert(sum(writers, start=C(0, 1)) <= 1, "a bank is written twice")
        return m


PROOFS = [
    Proof("dma.Completions/done once, written meanwhile", _OneTag, depth=6),
    Proof("dma.Completions/reads end", lambda: _OneTag(cover=True), depth=12, mode="cover"),
    Proof("dma.CompletionCheck/two at once", lambda: _Check(segment_count=4), depth=6),
    *(
        Proof(
            f"dma.CompletionGather/no bank twice, {count} segments",
            lambda count=count: _Groups(segment_count=count),
            depth=depth,
            mode="bmc",
        )
        for count, depth in ((2, 5), (4, 4))
    ),
]
