"""Reads over PCI Express, from the clients' requests to headers on their way."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import TlpHeaderLayout
from .limits import (
    check_client_count,
    check_reserve,
    check_segment_count,
    check_slot_bytes,
    check_tag_count,
)
from .memory_port import MemoryRequestLayout
from .parts import DeliveredLayout, IssuedLayout, TagDoneLayout, row_bytes_of
from .read_issue import ReadIssue
from .read_splitter import ReadSplitter
from .tag_pool import TagPool
from .tag_return import TagReturn
from .tag_timer import TagTimer

__all__ = ["ReadRequester"]


class ReadRequester(wiring.Component):
    """Turn the requests of ``client_count`` clients into memory reads, a tag for each.

    A request is cut into pieces (:class:`ReadSplitter`); a piece whose client may have one more
    tag (:class:`TagPool`) gets one and leaves (:class:`ReadIssue`). Reads that last too long, or
    whose link went down, fail (:class:`TagTimer`); tags come back when their reads have been
    delivered (:class:`TagReturn`).

    While the link is down, requests are issued but not sent, and fail with LINK_DOWN; so does
    what comes until all that was out when it went down has failed. Afterwards reads are sent.

    Latency is 4 cycles from a request to ``o``. Throughput is 1 piece per cycle, whether they are
    of one client or of many, of one request or of many.

    Specification: PCI Express Base Specification, 2.2 (memory read requests), 2.8, 2.9.1, and
    this docstring.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    segment_count : int
        Segments of a beat of TLPs, 1, 2 or 4.
    tag_count : int
        Tags; even, 4 to 1024.
    slot_bytes : int
        Bytes that a read has at most: a power of two, 128 to 4096.
    reserve : int
        Tags that each client can always have, 1 to ``tag_count // client_count``.

    Members
    -------
    requests : In(stream.Signature(MemoryRequestLayout())).array(client_count)
        What to read. ``ready`` is a function of registers.
    max_request : In(3)
        Max_Read_Request_Size as in Device Control: 128 << n bytes; 6 and 7 count as 5.
    requester : In(16)
        Requester ID.
    link_up : In(1)
        The link can send. While it is down, headers are taken from ``o`` and dropped.
    timeout : In(32)
        Cycles that completions may take, in steps of 4.
    o : Out(stream.Signature(TlpHeaderLayout()))
        Memory reads, registered.
    passed : In(1)
        Strobe: each header that had been taken from ``o`` when this was last set has been sent. 1
        where what is taken is sent.
    issued : Out(IssuedLayout(client_count, row_bytes, tag_count))
        Strobe: in the cycle in which a header comes to be offered, or a read is not sent.
        Registered.
    out : In(tag_count)
        Tags that are out, from registers: set from at most 4 cycles after ``issued`` on, cleared
        at most 8 cycles after a transfer on ``fail``.
    fail : Out(stream.Signature(TagDoneLayout(tag_count)))
        Tags that have failed, each at most once: TIMEOUT or LINK_DOWN. If its last completion
        came meanwhile, it is of no effect. Registered.
    delivered : In(stream.Signature(DeliveredLayout(client_count, tag_count)))
        Tags whose slots have been read, once for each ``issued``, at the earliest 1 cycle after
        they are not ``out`` any more. ``ready`` is a function of registers.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    requests: list[stream.Interface]
    max_request: Signal
    requester: Signal
    link_up: Signal
    timeout: Signal
    o: stream.Interface
    passed: Signal
    issued: data.View
    out: Signal
    fail: stream.Interface
    delivered: stream.Interface

    def __init__(
        self,
        *,
        client_count: int,
        segment_count: int,
        tag_count: int,
        slot_bytes: int,
        reserve: int,
    ):
        check_client_count(client_count)
        check_segment_count(segment_count)
        check_tag_count(tag_count)
        check_slot_bytes(slot_bytes)
        check_reserve(reserve, client_count=client_count, tag_count=tag_count)
        self.client_count = client_count
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.reserve = reserve
        request = stream.Signature(MemoryRequestLayout())
        row_bytes = row_bytes_of(segment_count)
        super().__init__(
            {
                "requests": In(request).array(client_count),
                "max_request": In(3),
                "requester": In(16),
                "link_up": In(1),
                "timeout": In(32),
                "o": Out(stream.Signature(TlpHeaderLayout())),
                "passed": In(1),
                "issued": Out(IssuedLayout(client_count, row_bytes, tag_count)),
                "out": In(tag_count),
                "fail": Out(stream.Signature(TagDoneLayout(tag_count))),
                "delivered": In(stream.Signature(DeliveredLayout(client_count, tag_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        clients, tags, segments = self.client_count, self.tag_count, self.segment_count
        m.submodules.splitter = splitter = ReadSplitter(
            client_count=clients, segment_count=segments, slot_bytes=self.slot_bytes
        )
        m.submodules.pool = pool = TagPool(
            client_count=clients, tag_count=tags, reserve=self.reserve
        )
        m.submodules.issue = issue = ReadIssue(
            client_count=clients, segment_count=segments, tag_count=tags
        )
        m.submodules.timer = timer = TagTimer(tag_count=tags)
        m.submodules.tag_return = tag_return = TagReturn(client_count=clients, tag_count=tags)

        for inner, outer in zip(splitter.requests, self.requests, strict=True):
            wiring.connect(m, wiring.flipped(outer), inner)
        wiring.connect(m, splitter.o, issue.pieces)
        wiring.connect(m, pool.tags, issue.tags)
        wiring.connect(m, issue.o, wiring.flipped(self.o))
        wiring.connect(m, timer.fail, wiring.flipped(self.fail))
        wiring.connect(m, wiring.flipped(self.delivered), tag_return.delivered)
        m.d.comb += [
            splitter.max_request.eq(self.max_request),
            splitter.allowed.eq(pool.allowed),
            pool.take.eq(splitter.take),
            pool.given.eq(tag_return.given),
            issue.requester.eq(self.requester),
            issue.send.eq(timer.send),
            issue.discard.eq(timer.discard),
            self.issued.eq(issue.issued),
            timer.issued.valid.eq(issue.issued.valid),
            timer.issued.tag.eq(issue.issued.tag),
            timer.out.eq(self.out),
            timer.link_up.eq(self.link_up),
            timer.timeout.eq(self.timeout),
            timer.offered.eq(issue.o.valid),
            timer.blocked.eq(issue.o.valid & ~issue.o.ready),
            timer.passed.eq(self.passed),
            tag_return.failing.eq(timer.failing),
            tag_return.time.eq(timer.time),
        ]
        return m
