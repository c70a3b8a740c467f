"""Proof of hdl.dma.ended_tags: a tag has ended when it has, not before."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.dma.ended_tags import EndedTags
from tb.prove import Proof

__all__ = ["PROOFS"]

_TAGS = 4


class _Ended(wiring.Component):
    """Tags that are issued, end and are looked up: no end is missed, and none seen early.

    A tag is issued when it is free, ends 2 cycles later or after that, and may be looked up while
    it is out or has ended. It is free again when a lookup has found it ended.
    """

    issue: Signal
    issue_tag: Signal
    done: Signal
    done_tag: Signal
    lookup: Signal
    lookup_tag: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        number = range(_TAGS)
        super().__init__(
            {
                "issue": In(1),
                "issue_tag": In(number),
                "done": In(1),
                "done_tag": In(number),
                "lookup": In(1),
                "lookup_tag": In(number),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ended = ended = EndedTags(tag_count=_TAGS, done_count=1)
        out, young, has_ended, mark = (
            Signal(_TAGS, name=name) for name in ("out", "young", "has_ended", "mark")
        )
        m.d.comb += [
            ended.issue.eq(self.issue),
            ended.issue_tag.eq(self.issue_tag),
            ended.done[0].valid.eq(self.done),
            ended.done[0].tag.eq(self.done_tag),
            ended.lookup.eq(self.lookup),
            ended.lookup_tag.eq(self.lookup_tag),
            ended.lookup_mark.eq((mark >> self.lookup_tag)[0]),
        ]
        # What a lookup of 2 cycles ago must tell: at least what had ended then.
        looks = [Signal(name=f"looks_{n}") for n in range(2)]
        tags = [Signal(range(_TAGS), name=f"tag_{n}") for n in range(2)]
        due = Signal()
        knows = Signal(2)
        issued = Signal()
        issued_tag = Signal(range(_TAGS))
        repeats = Signal()
        holds = Signal()
        m.d.sync += [
            issued.eq(self.issue),
            issued_tag.eq(self.issue_tag),
            Cat(looks).eq(Cat(self.lookup, looks[0])),
            tags[0].eq(self.lookup_tag),
            tags[1].eq(tags[0]),
            # The RAM or `seen`: what was on `done` up to the cycle of the lookup.
            knows.eq(
                Cat(
                    (has_ended >> self.lookup_tag)[0]
                    | (self.done & (self.done_tag == self.lookup_tag)),
                    knows[0],
                )
            ),
        ]
        m.d.comb += [
            due.eq(looks[1] & knows[1]),
            repeats.eq(
                Cat(
                    look & (tag == self.lookup_tag) for look, tag in zip(looks, tags, strict=True)
                ).any()
            ),
        ]
        may_issue = Signal()
        may_end = Signal()
        may_look = Signal()
        live = Signal(_TAGS)
        m.d.comb += [
            live.eq(out | has_ended),
            may_issue.eq(~(live >> self.issue_tag)[0]),
            may_end.eq(((out & ~young) >> self.done_tag)[0]),
            may_look.eq(((live & ~young) >> self.lookup_tag)[0] & ~repeats),
            holds.eq(
                (~self.issue | may_issue) & (~self.done | may_end) & (~self.lookup | may_look)
            ),
        ]
        for n in range(_TAGS):
            m.d.sync += young[n].eq(self.issue & (self.issue_tag == n))
            with m.If(self.issue & (self.issue_tag == n)):
                m.d.sync += out[n].eq(1)
            with m.If(issued & (issued_tag == n)):
                m.d.sync += mark[n].eq(ended.mark)
            with m.If(self.done & (self.done_tag == n)):
                m.d.sync += [out[n].eq(0), has_ended[n].eq(1)]
            with m.If(looks[1] & ended.ended & (tags[1] == n)):
                m.d.sync += has_ended[n].eq(0)
        found = Signal(range(4))
        m.d.sync += found.eq(found + (looks[1] & ended.ended))
        with m.If(~ResetSignal()):
            m.d.comb += Assume(holds, "tags as promised")
            if self.cover:
                m.d.comb += Cover(found == 3, "a tag ends again")
            else:
                with m.If(looks[1]):
                    m.d.comb += [
                        Assert(~due | ended.ended, "an end is missed"),
                        Assert(~ended.ended | (has_ended >> tags[1])[0], "an end too early"),
                    ]
        return m


PROOFS = [
    Proof("dma.EndedTags/no end is missed, none is early", _Ended, depth=10, mode="bmc"),
    Proof("dma.EndedTags/tags end again", lambda: _Ended(cover=True), depth=16, mode="cover"),
]
