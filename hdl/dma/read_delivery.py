"""What reads brought, as packets and responses in the order of each client's requests."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature
from .limits import check_client_count, check_segment_count, check_slot_bytes
from .memory_port import MemoryResponseLayout
from .parts import (
    DeliveredLayout,
    IssuedLayout,
    TagEndedLayout,
    row_bytes_of,
)
from .row_join import RowJoin
from .row_scheduler import RowScheduler
from .row_turner import RowTurner

__all__ = ["ReadDelivery"]

_ROOM = 16  # rows at each client: more than the cycles from a row's choice until it has left


class ReadDelivery(wiring.Component):
    """Read the slots of tags that have ended and give each client its packets and responses.

    Of each client, slots are read in the order in which their tags were issued; of clients in turn,
    row by row. A row is read only if there is room for it at its client, so a client that takes
    nothing stops nobody else. The rows of a slot that failed are 0, and the request's packet ends
    with ``error``; the first failure of a request is its status. A request of 0 bytes has only a
    response.

    Latency is 5 cycles from ``done`` to ``read_en``, 8 from there to the beat; the response is
    offered in the cycle after its last beat was taken. Throughput is one row in each cycle, across
    slots, requests and clients, and one beat a cycle at each client: a request of n bytes that
    touches r rows takes r cycles.

    Specification: this docstring, and the contract of :func:`MemoryReadSignature`.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    segment_count : int
        Segments of a beat of TLPs: 1, 2 or 4. A row, and a beat, has 32 bytes for each.
    tag_count : int
        Tags, 2 to 1024.
    slot_bytes : int
        Bytes of a tag's slot: a power of two, 128 to 4096.

    Members
    -------
    issued : In(IssuedLayout(client_count, row_bytes, tag_count))
        Strobe: a tag that went out. A tag is not issued again before it was ``delivered``.
    done : In(TagEndedLayout(tag_count)).array(max(1, segment_count // 2))
        Strobes: tags that end, once each, 2 cycles after ``issued`` or later; those of one cycle
        differ in their lowest bit. Their slots can be read from then on.
    read_en : Out(1), read_row : Out(range(tag_count * slot_bytes // row_bytes))
        Row of the completion store to read, registered. A flush reads a row, too, for nothing.
    read_data : In(8 * row_bytes)
        The row, 1 cycle later.
    clients : Out({data, response, has_packet}).array(client_count)
        ``data`` and ``response`` of :func:`MemoryReadSignature`, of ``row_bytes``; and whether the
        response is that of a packet. Registered.
    delivered : Out(stream.Signature(DeliveredLayout(client_count, tag_count)))
        Tags whose slot has been read, registered: all of them, in the order in which that happened.
        While 13 wait here, nothing is read.

    Raises
    ------
    ValueError
        If a parameter is not as above.
    """

    issued: Any
    done: list[Any]
    read_en: Signal
    read_row: Signal
    read_data: Signal
    clients: list[Any]
    delivered: stream.Interface

    def __init__(self, *, client_count: int, segment_count: int, tag_count: int, slot_bytes: int):
        check_client_count(client_count)
        check_segment_count(segment_count)
        check_slot_bytes(slot_bytes)
        if not 2 <= tag_count <= 1024:
            raise ValueError(f"tag_count must be 2 to 1024, not {tag_count!r}")
        self.client_count = client_count
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.row_bytes = row_bytes = row_bytes_of(segment_count)
        done_count = max(1, segment_count // 2)
        super().__init__(
            {
                "issued": In(IssuedLayout(client_count, row_bytes, tag_count)),
                "done": In(TagEndedLayout(tag_count)).array(done_count),
                "read_en": Out(1),
                "read_row": Out(range(tag_count * slot_bytes // row_bytes)),
                "read_data": In(8 * row_bytes),
                "clients": Out(
                    wiring.Signature(
                        {
                            "data": Out(PacketSignature(row_bytes)),
                            "response": Out(stream.Signature(MemoryResponseLayout())),
                            "has_packet": Out(1),
                        }
                    )
                ).array(client_count),
                "delivered": Out(stream.Signature(DeliveredLayout(client_count, tag_count))),
            }
        )
        self.scheduler = RowScheduler(
            client_count=client_count,
            row_bytes=row_bytes,
            tag_count=tag_count,
            slot_bytes=slot_bytes,
            done_count=done_count,
            room=_ROOM,
        )
        self.turner = RowTurner(
            client_count=client_count,
            row_bytes=row_bytes,
            tag_count=tag_count,
            slot_bytes=slot_bytes,
        )
        self.joins = [RowJoin(row_bytes=row_bytes, room=_ROOM) for _ in range(client_count)]

    def elaborate(self, platform):
        m = Module()
        m.submodules.scheduler = scheduler = self.scheduler
        m.submodules.turner = turner = self.turner
        m.d.comb += [
            scheduler.issued.eq(self.issued),
            self.read_en.eq(scheduler.read_en),
            self.read_row.eq(Cat(scheduler.row.row, scheduler.row.tag)),
            turner.reads.eq(scheduler.reads),
            turner.row.eq(scheduler.row),
            turner.status.eq(scheduler.status),
            turner.read_data.eq(self.read_data),
        ]
        for ours, theirs in zip(self.done, scheduler.done, strict=True):
            m.d.comb += theirs.eq(ours)
        wiring.connect(m, scheduler.delivered, wiring.flipped(self.delivered))
        for client, (port, join) in enumerate(zip(self.clients, self.joins, strict=True)):
            m.submodules[f"join_{client}"] = join
            m.d.comb += [
                join.write.eq(turner.write[client]),
                join.row.eq(turner.turned),
                scheduler.left[client].eq(join.left),
            ]
            wiring.connect(m, join.data, wiring.flipped(port.data))
            wiring.connect(m, join.response, wiring.flipped(port.response))
            m.d.comb += port.has_packet.eq(join.has_packet)
        return m
