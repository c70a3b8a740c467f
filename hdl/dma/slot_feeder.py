"""Slots of one client that are about to be read."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .delivery_parts import RowReadLayout, SlotReadLayout
from .ended_tags import is_seen
from .parts import TagEndedLayout

__all__ = ["SlotFeeder"]


class SlotFeeder(wiring.Component):
    """Hold a client's next tags until the first of them has ended, and offer its rows.

    A row is offered when it has come and there is room for it behind. Rows of the next tag follow
    those of the first without a gap. Nothing is offered of a tag before those issued before it.

    Latency is 2 cycles from ``write``; throughput is 1 row and 1 tag a cycle.

    Parameters
    ----------
    row_bytes, tag_count, slot_bytes, done_count : int
        See :class:`ReadDelivery`.
    place_count : int
        Tags held; a power of two.
    room : int
        Rows for which there is room behind.

    Members
    -------
    write : In(1), tag : In(range(tag_count)), slot : In(SlotReadLayout), ended : In(1)
        Strobe: the client's next tag, and whether it has ended.
    seen : In(TagEndedLayout(tag_count)).array(done_count)
        Strobes: tags that have ended, from the cycle behind ``write`` on.
    freed : Out(1)
        Strobe, registered: there is a place for a tag again.
    left : In(1)
        Strobe: there is room for one row more.
    will_offer : Out(1)
        Whether ``offered`` will be 1 in the next cycle. Depends combinationally on ``grant``.
    offered : Out(1), row : Out(RowReadLayout)
        A row to read; from registers.
    grant : In(1)
        It is read; only while ``offered``.
    """

    write: Signal
    tag: Signal
    slot: data.View
    ended: Signal
    seen: list[Any]
    freed: Signal
    left: Signal
    will_offer: Signal
    offered: Signal
    row: data.View
    grant: Signal

    def __init__(
        self,
        *,
        row_bytes: int,
        tag_count: int,
        slot_bytes: int,
        done_count: int,
        place_count: int,
        room: int,
    ):
        self.tag_count = tag_count
        self.place_count = place_count
        self.room = room
        self.slot_layout = SlotReadLayout(row_bytes, slot_bytes)
        self.row_layout = RowReadLayout(row_bytes, tag_count, slot_bytes)
        super().__init__(
            {
                "write": In(1),
                "tag": In(range(tag_count)),
                "slot": In(self.slot_layout),
                "ended": In(1),
                "seen": In(TagEndedLayout(tag_count)).array(done_count),
                "freed": Out(1),
                "left": In(1),
                "will_offer": Out(1),
                "offered": Out(1),
                "row": Out(self.row_layout),
                "grant": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.place_count.bit_length() - 1
        m.submodules.slots = slots = Memory(
            shape=unsigned(self.slot_layout.size + len(self.tag)),
            depth=self.place_count,
            init=[],
        )
        slot_write = slots.write_port()
        slot_read = slots.read_port(domain="comb")

        # Tags are beside the RAM, too, since all of them are compared with those that end.
        write_place = Signal(bits)
        read_place = Signal(bits)
        can_load = Signal(self.place_count)
        tags = [
            Signal(range(self.tag_count), name=f"tag_{n}", reset_less=True)
            for n in range(self.place_count)
        ]
        m.d.comb += [
            slot_write.en.eq(self.write),
            slot_write.addr.eq(write_place),
            slot_write.data.eq(Cat(self.slot, self.tag)),
            slot_read.addr.eq(read_place),
        ]
        with m.If(self.write):
            m.d.sync += write_place.eq(write_place + 1)

        loads = Signal()
        has_tag = Signal(self.place_count)
        for n, tag in enumerate(tags):
            with m.If(self.write & (write_place == n)):
                m.d.sync += [has_tag[n].eq(1), can_load[n].eq(self.ended), tag.eq(self.tag)]
            with m.Elif(loads & (read_place == n)):
                m.d.sync += [has_tag[n].eq(0), can_load[n].eq(0)]
            with m.Elif(has_tag[n] & is_seen(self.seen, tag)):
                m.d.sync += can_load[n].eq(1)

        # The slot that is being read.
        has_row = Signal()
        goes_on = Signal()
        may_load = Signal()
        moves = Signal()
        slot = data.View(self.slot_layout, slot_read.data[: self.slot_layout.size])
        row = Signal(self.row_layout, reset_less=True)
        further = Signal(max(1, self.slot_layout["further"].width), reset_less=True)
        m.d.comb += [
            self.row.eq(row),
            goes_on.eq(has_row & ~row.last),
            may_load.eq((can_load >> read_place)[0] & ~goes_on),
            moves.eq(self.grant | ~has_row),
            loads.eq(may_load & moves),
        ]
        m.d.sync += self.freed.eq(loads)
        # What the next row is does not ask whether this one is granted: without a next one, it is
        # not looked at.
        with m.If(loads):
            m.d.sync += read_place.eq(read_place + 1)
        will_have_row = Signal()
        m.d.comb += will_have_row.eq(Mux(moves, goes_on | may_load, has_row))
        m.d.sync += has_row.eq(will_have_row)
        with m.If(moves & ~goes_on):
            m.d.sync += [
                row.tag.eq(slot_read.data[self.slot_layout.size :]),
                row.first.eq(1),
                row.last.eq(slot.further == 0),
                further.eq(slot.further),
            ]
            names = ("row", "shift", "end", "begins", "ends", "flush", "request_tag")
            m.d.sync += [row[name].eq(slot[name]) for name in names]
        with m.Elif(moves):
            m.d.sync += [
                row.row.eq(row.row + 1),
                row.first.eq(0),
                row.last.eq(further == 1),
                further.eq(further - 1),
            ]

        # What becomes free in this cycle counts from the next one on.
        room = Signal(range(self.room + 1), init=self.room)
        has_room = Signal(init=1)
        will_have_room = Signal()
        m.d.comb += [
            will_have_room.eq(Mux(self.grant, room > 1, room != 0)),
            self.will_offer.eq(will_have_row & will_have_room),
            self.offered.eq(has_row & has_room),
        ]
        m.d.sync += [room.eq(room - self.grant + self.left), has_room.eq(will_have_room)]
        return m
