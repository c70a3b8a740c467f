"""Which row of the completion store is read in which cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..memory import SimpleDualPortRam
from ..stream import Queue
from .delivery_parts import RowReadLayout, SlotReadLayout, in_turn
from .ended_tags import EndedTags
from .memory_port import MemoryStatus
from .parts import DeliveredLayout, IssuedLayout, TagEndedLayout
from .slot_feeder import SlotFeeder
from .tag_order import TagOrder

__all__ = ["RowScheduler"]

_PLACES = 8  # tags that wait at each client's feeder: more than the cycles until one comes
_UNDELIVERED = 16


class RowScheduler(wiring.Component):
    """Choose a row in each cycle: of each client in the order of its reads, of clients in turns.

    A client is chosen when its first tag has ended and there is room for one of its rows. The last
    row of a slot, and the one row that stands for a flush, makes its tag ``delivered``.

    Latency is 5 cycles from ``done`` to ``reads``, 10 from ``issued`` at least.
    Throughput is 1 row a cycle, across slots and clients.

    Specification: this docstring.

    Parameters
    ----------
    client_count, row_bytes, tag_count, slot_bytes, done_count : int
        See :class:`ReadDelivery`.
    room : int
        Rows for which each client has room.

    Members
    -------
    issued : In(IssuedLayout(client_count, row_bytes, tag_count))
        Strobe: a tag that went out.
    done : In(TagEndedLayout(tag_count)).array(done_count)
        Strobes: tags that end.
    left : In(client_count)
        Strobes: a client has room for one row more.
    read_en : Out(1)
        ``reads`` is not 0; registered.
    reads : Out(client_count), row : Out(RowReadLayout(row_bytes, tag_count, slot_bytes))
        One-hot strobe, registered: a row of this client is read.
    status : Out(MemoryStatus)
        Of that row's tag, 2 cycles later; combinational from registers.
    delivered : Out(stream.Signature(DeliveredLayout(client_count, tag_count)))
        Tags whose slot has been read, registered. No row is chosen while 13 wait here.
    """

    issued: Any
    done: list[Any]
    left: Signal
    read_en: Signal
    reads: Signal
    row: data.View
    status: Signal
    delivered: stream.Interface

    def __init__(
        self,
        *,
        client_count: int,
        row_bytes: int,
        tag_count: int,
        slot_bytes: int,
        done_count: int,
        room: int,
    ):
        self.client_count = client_count
        self.row_bytes = row_bytes
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.slot_layout = SlotReadLayout(row_bytes, slot_bytes)
        self.row_layout = RowReadLayout(row_bytes, tag_count, slot_bytes)
        self.delivered_layout = DeliveredLayout(client_count, tag_count)
        super().__init__(
            {
                "issued": In(IssuedLayout(client_count, row_bytes, tag_count)),
                "done": In(TagEndedLayout(tag_count)).array(done_count),
                "left": In(client_count),
                "read_en": Out(1),
                "reads": Out(client_count),
                "row": Out(self.row_layout),
                "status": Out(MemoryStatus),
                "delivered": Out(stream.Signature(self.delivered_layout)),
            }
        )
        self.ended = EndedTags(tag_count=tag_count, done_count=done_count)
        self.order = TagOrder(client_count=client_count, tag_count=tag_count, place_count=_PLACES)
        self.slots = SimpleDualPortRam(
            shape=self.slot_layout.size,
            depth=tag_count,
            lane_count=1,
            latency=2,
            bypass=False,
            block=tag_count > 32,
        )
        self.feeders = [
            SlotFeeder(
                row_bytes=row_bytes,
                tag_count=tag_count,
                slot_bytes=slot_bytes,
                done_count=done_count,
                place_count=_PLACES,
                room=room,
            )
            for _ in range(client_count)
        ]
        self.waiting = Queue(shape=self.delivered_layout, depth=_UNDELIVERED, counted=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.ended = ended = self.ended
        m.submodules.order = order = self.order
        m.submodules.slots = slots = self.slots
        m.submodules.waiting = waiting = self.waiting

        self._write(m, ended, order, slots)

        # A tag that has left its queue is looked up, and goes to its client's feeder.
        tag = Signal(range(self.tag_count), reset_less=True)
        looked_up = Signal.like(tag)
        looks_up = Signal(self.client_count)
        fetched = Signal(self.client_count)
        m.d.comb += [
            ended.lookup.eq(order.fetched.any()),
            ended.lookup_tag.eq(order.fetched_tag),
            ended.lookup_mark.eq(order.fetched_mark),
            slots.read_en.eq(ended.lookup),
            slots.read_address.eq(order.fetched_tag),
        ]
        m.d.sync += [
            looks_up.eq(order.fetched),
            fetched.eq(looks_up),
            looked_up.eq(order.fetched_tag),
            tag.eq(looked_up),
        ]
        for ours, theirs in zip(self.done, ended.done, strict=True):
            m.d.comb += theirs.eq(ours)
        will_offer = Signal(self.client_count)
        grant = Signal(self.client_count)
        for client, feeder in enumerate(self.feeders):
            m.submodules[f"feeder_{client}"] = feeder
            m.d.comb += [
                feeder.write.eq(fetched[client]),
                feeder.tag.eq(tag),
                feeder.slot.eq(slots.read_data),
                feeder.ended.eq(ended.ended),
                feeder.left.eq(self.left[client]),
                order.freed[client].eq(feeder.freed),
                will_offer[client].eq(feeder.will_offer),
                feeder.grant.eq(grant[client]),
            ]
            m.d.comb += [to.eq(seen) for to, seen in zip(feeder.seen, ended.seen, strict=True)]

        # Whose row is read is chosen in the cycle before, of those who will have one. Where those
        # that wait at `delivered` have no room, nothing is read.
        undelivered = Signal(range(_UNDELIVERED + 1))
        may_read = Signal()
        is_delivered = Signal()
        reads = Signal(self.client_count)
        row = Signal(self.row_layout, reset_less=True)
        m.d.comb += [
            is_delivered.eq(self.read_en & row.last),
            self.reads.eq(reads),
            self.row.eq(row),
        ]
        m.d.sync += [
            grant.eq(in_turn(m, "picker", will_offer) & may_read.replicate(self.client_count)),
            reads.eq(grant),
            self.read_en.eq(grant.any()),
            Value.cast(row).eq(
                select_one_hot(grant, [Value.cast(feeder.row) for feeder in self.feeders])
            ),
            undelivered.eq(undelivered + is_delivered - (waiting.o.valid & waiting.o.ready)),
            may_read.eq(undelivered < _UNDELIVERED - 3),
        ]
        wiring.connect(m, waiting.o, wiring.flipped(self.delivered))

        # Its status is there 2 cycles after the row.
        late_delivered = Signal(2)
        client = Signal(range(max(2, self.client_count)), reset_less=True)
        late_client = Signal.like(client)
        late_tag = Signal.like(tag)
        later_tag = Signal.like(tag)
        m.d.sync += [
            late_delivered.eq(Cat(is_delivered, late_delivered)),
            client.eq(select_one_hot(reads, [C(n, len(client)) for n in range(len(reads))])),
            late_client.eq(client),
            late_tag.eq(row.tag),
            later_tag.eq(late_tag),
        ]
        m.d.comb += [
            ended.status_tag.eq(row.tag),
            self.status.eq(ended.status),
            waiting.i.valid.eq(late_delivered[1]),
            waiting.i.p.client.eq(late_client),
            waiting.i.p.tag.eq(later_tag),
            waiting.i.p.status.eq(ended.status),
        ]
        return m

    def _write(
        self, m: Module, ended: EndedTags, order: TagOrder, slots: SimpleDualPortRam
    ) -> None:
        """Note what was issued: its place in the order, and what to read of its slot."""
        row_bits = self.row_bytes.bit_length() - 1
        slot_bits = self.slot_bytes.bit_length() - 1
        issued, piece = self.issued, self.issued.piece
        valid = Signal()
        tag = Signal(range(self.tag_count), reset_less=True)
        first = Signal(slot_bits, reset_less=True)
        last = Signal(slot_bits, reset_less=True)
        slot = Signal(self.slot_layout)
        m.d.comb += [
            ended.issue.eq(issued.valid),
            ended.issue_tag.eq(issued.tag),
            order.tag.eq(tag),
            order.mark.eq(ended.mark),
        ]
        write = Signal(self.client_count)
        m.d.comb += order.write.eq(write)
        for client in range(self.client_count):
            m.d.sync += write[client].eq(issued.valid & (piece.client == client))
        kept = Signal(
            data.StructLayout(
                {
                    name: self.slot_layout[name].shape
                    for name in ("shift", "begins", "ends", "flush", "request_tag")
                }
            ),
            reset_less=True,
        )
        m.d.sync += [
            valid.eq(issued.valid),
            tag.eq(issued.tag),
            first.eq(piece.address),
            last.eq(piece.address[:slot_bits] + piece.length - 1),
            kept.shift.eq(piece.shift),
            kept.begins.eq(piece.begin),
            kept.ends.eq(piece.end),
            kept.flush.eq(piece.length == 0),
            kept.request_tag.eq(piece.tag),
        ]
        m.d.comb += [
            slot.row.eq(first[row_bits:]),
            slot.further.eq(Mux(kept.flush, 0, last[row_bits:] - first[row_bits:])),
            slot.end.eq(last[:row_bits]),
            slots.write_lanes.eq(valid),
            slots.write_address.eq(tag),
            slots.write_data.eq(slot),
        ]
        m.d.comb += [
            slot[name].eq(kept[name])
            for name in ("shift", "begins", "ends", "flush", "request_tag")
        ]
