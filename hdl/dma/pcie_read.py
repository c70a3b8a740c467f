"""Reads of several clients over PCI Express."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import TlpBeatLayout, TlpHeaderLayout
from .completions import Completions
from .limits import check_client_count, check_reserve
from .memory_port import MemoryReadSignature
from .parts import TagEndedLayout, row_bytes_of
from .read_delivery import ReadDelivery
from .read_requester import ReadRequester
from .skid import Skid

__all__ = ["PcieRead"]


class PcieRead(wiring.Component):
    """Read what clients ask for, with as many reads out as there are tags.

    A request becomes memory reads (:class:`ReadRequester`), each with a tag and with room for all
    that it can bring. Completions are checked against them and kept (:class:`Completions`), in
    whatever order they come; :class:`ReadDelivery` gives each client its packets in the order of
    its requests. What fails, fails alone: its packet ends with ``error``, and what did not come is
    0.

    Latency is 4 cycles from a request to ``o``, and 20 from a read's last completion to the beat.
    Throughput is one read per cycle, one beat of completions per cycle, one beat to a client per
    cycle.

    Specification: those of the three blocks.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    segment_count : int
        Segments of a beat of TLPs, 1, 2 or 4; a client's beat has 32 bytes for each.
    tag_count : int
        Reads that can be out; even, 4 to 1024.
    slot_bytes : int
        Bytes that a read has at most: a power of two, 128 to 4096.
    reserve : int
        Tags that each client can always have; 0 shares half of the tags out evenly.

    Members
    -------
    clients : In(MemoryReadSignature(row_bytes)).array(client_count)
        Requests; packets and responses.
    max_request : In(3)
        Max_Read_Request_Size: 128 << code bytes.
    requester : In(16)
        Requester ID.
    link_up : In(1)
        Reads can be sent; while it is down they fail with LINK_DOWN.
    timeout : In(32)
        Cycles that completions may take.
    o : Out(stream.Signature(TlpHeaderLayout()))
        Memory reads, registered; taken and dropped while the link is down.
    passed : In(1)
        Strobe, as of :class:`ReadRequester`.
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Completions.
    has_packet : Out(client_count)
        Of each client, with its response: it is that of a packet, not of a request of 0 bytes.
        Registered.
    done : Out(TagEndedLayout(tag_count)).array(max(1, segment_count // 2))
        Strobes, registered: how each read ended.
    unexpected : Out(range(max(1, segment_count // 2) + 1))
        Strobe, registered: completions that belong to no read.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    clients: Sequence[Any]
    max_request: Signal
    requester: Signal
    link_up: Signal
    timeout: Signal
    o: stream.Interface
    passed: Signal
    i: stream.Interface
    has_packet: Signal
    done: Sequence[Any]
    unexpected: Signal

    def __init__(
        self,
        *,
        client_count: int,
        segment_count: int,
        tag_count: int,
        slot_bytes: int,
        reserve: int = 0,
    ):
        check_client_count(client_count)
        reserve = reserve or max(1, tag_count // (2 * client_count))
        check_reserve(reserve, client_count=client_count, tag_count=tag_count)
        sizes = {
            "segment_count": segment_count,
            "tag_count": tag_count,
            "slot_bytes": slot_bytes,
        }
        self.requests = ReadRequester(client_count=client_count, reserve=reserve, **sizes)
        self.completions = Completions(**sizes)
        self.delivery = ReadDelivery(client_count=client_count, **sizes)
        ended = TagEndedLayout(tag_count)
        done_count = len(self.completions.done)
        super().__init__(
            {
                "clients": In(MemoryReadSignature(row_bytes_of(segment_count))).array(client_count),
                "max_request": In(3),
                "requester": In(16),
                "link_up": In(1),
                "timeout": In(32),
                "o": Out(stream.Signature(TlpHeaderLayout())),
                "passed": In(1),
                "i": In(stream.Signature(TlpBeatLayout(segment_count))),
                "has_packet": Out(client_count),
                "done": Out(ended).array(done_count),
                "unexpected": Out(range(done_count + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = self.requests
        m.submodules.completions = completions = self.completions
        m.submodules.delivery = delivery = self.delivery
        for client, request, answer in zip(
            self.clients, reads.requests, delivery.clients, strict=True
        ):
            wiring.connect(m, wiring.flipped(client.request), request)
            wiring.connect(m, answer.data, wiring.flipped(client.data))
            wiring.connect(m, answer.response, wiring.flipped(client.response))
        wiring.connect(m, reads.o, wiring.flipped(self.o))
        # Between parts that lie far from each other nothing goes from ready to ready.
        m.submodules.skid = skid = Skid(shape=self.i.payload.shape())
        wiring.connect(m, wiring.flipped(self.i), skid.i)
        wiring.connect(m, skid.o, completions.i)
        # Completions take each failure at once.
        m.d.comb += reads.fail.ready.eq(1)
        m.d.sync += [
            completions.fail.valid.eq(reads.fail.valid),
            completions.fail.payload.eq(reads.fail.payload),
        ]
        wiring.connect(m, delivery.delivered, reads.delivered)
        m.d.comb += [
            reads.max_request.eq(self.max_request),
            reads.requester.eq(self.requester),
            reads.link_up.eq(self.link_up),
            reads.timeout.eq(self.timeout),
            reads.passed.eq(self.passed),
            reads.out.eq(completions.out),
            completions.requester.eq(self.requester),
            completions.asked.valid.eq(reads.issued.valid),
            completions.asked.tag.eq(reads.issued.tag),
            completions.asked.address.eq(reads.issued.piece.address),
            completions.asked.length.eq(reads.issued.piece.length),
            completions.read_en.eq(delivery.read_en),
            completions.read_row.eq(delivery.read_row),
            delivery.read_data.eq(completions.read_data),
            delivery.issued.eq(reads.issued),
            self.has_packet.eq(Cat(answer.has_packet for answer in delivery.clients)),
            self.unexpected.eq(completions.unexpected),
        ]
        for ours, ended, delivered in zip(self.done, completions.done, delivery.done, strict=True):
            m.d.comb += [ours.eq(ended), delivered.eq(ended)]
        return m
