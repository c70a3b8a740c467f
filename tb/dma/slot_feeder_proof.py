"""Proof of hdl.dma.slot_feeder: rows of tags that have ended, in order, with room."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.dma.slot_feeder import SlotFeeder
from tb.prove import Proof

__all__ = ["PROOFS"]

_TAGS = 4
_PLACES = 2
_ROW_BYTES = 32
_ROOM = 2
_NUMBER_BITS = 3  # more than tags in the cycles looked at


class _InOrder(wiring.Component):
    """A feeder's rows: of tags in the order in which they came, after their end, with room.

    Tags come while there is a place, are different, and end at any time or have ended. Grants and
    room come in any cycle in which they can.
    """

    write: Signal
    tag: Signal
    long: Signal
    ended: Signal
    done: Signal
    done_tag: Signal
    grant: Signal
    left: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "write": In(1),
                "tag": In(range(_TAGS)),
                "long": In(1),
                "ended": In(1),
                "done": In(1),
                "done_tag": In(range(_TAGS)),
                "grant": In(1),
                "left": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.feeder = feeder = SlotFeeder(
            row_bytes=_ROW_BYTES,
            tag_count=_TAGS,
            slot_bytes=2 * _ROW_BYTES,
            done_count=1,
            place_count=_PLACES,
            room=_ROOM,
        )
        m.d.comb += [
            feeder.write.eq(self.write),
            feeder.tag.eq(self.tag),
            feeder.slot.further.eq(self.long),
            feeder.ended.eq(self.ended),
            feeder.seen[0].valid.eq(self.done),
            feeder.seen[0].tag.eq(self.done_tag),
            feeder.grant.eq(self.grant),
            feeder.left.eq(self.left),
        ]
        known = data.StructLayout({"inside": 1, "ended": 1, "number": _NUMBER_BITS, "rows": 2})
        tags = [Signal(known, name=f"tag_{n}") for n in range(_TAGS)]
        come = Signal(_NUMBER_BITS)
        due = Signal(_NUMBER_BITS)
        held = Signal(range(_PLACES + 2))
        rows = Signal(range(_ROOM + 2))
        m.d.sync += [
            come.eq(come + self.write),
            due.eq(due + (self.grant & feeder.row.last)),
            held.eq(held + self.write - feeder.freed),
            rows.eq(rows + self.grant - self.left),
        ]
        announced = Signal()
        m.d.sync += announced.eq(feeder.will_offer)
        wrong = Signal()
        holds = [
            ~self.write | (held < _PLACES),
            ~self.grant | feeder.offered,
            ~self.left | (rows != 0),
        ]
        for n, tag in enumerate(tags):
            comes = self.write & (self.tag == n)
            ends = self.done & (self.done_tag == n)
            holds.append(~comes | ~tag.inside)
            holds.append(~ends | (tag.inside & ~tag.ended))
            with m.If(comes):
                m.d.sync += [
                    tag.inside.eq(1),
                    tag.ended.eq(self.ended),
                    tag.number.eq(come),
                    tag.rows.eq(1 + self.long),
                ]
            with m.If(ends):
                m.d.sync += tag.ended.eq(1)
            with m.If(feeder.offered & (feeder.row.tag == n)):
                m.d.comb += wrong.eq(
                    ~tag.inside
                    | ~tag.ended
                    | (tag.number != due)
                    | (feeder.row.last != (tag.rows == 1))
                )
                with m.If(self.grant):
                    m.d.sync += [tag.rows.eq(tag.rows - 1), tag.inside.eq(~feeder.row.last)]
        with m.If(~ResetSignal()):
            m.d.comb += Assume(Cat(*holds).all(), "tags, places and grants as promised")
            if self.cover:
                m.d.comb += Cover((due == 3) & (rows == _ROOM), "three are read")
            else:
                m.d.comb += [
                    Assert(~wrong, "a row too early, too often, or not in order"),
                    Assert((rows < _ROOM) | ~feeder.offered, "a row without room"),
                    Assert(feeder.offered == announced, "an offer unannounced, or none"),
                ]
        return m


PROOFS = [
    Proof("dma.SlotFeeder/each tag after its end, in order", _InOrder, depth=8, mode="bmc"),
    Proof("dma.SlotFeeder/tags are read", lambda: _InOrder(cover=True), depth=12, mode="cover"),
]
