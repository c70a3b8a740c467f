"""DMA engine at a port of PCI Express."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.port import TlpPortSignature
from ..pcie.raw_rx import segment_count_of
from ..pcie.tlp import TlpBeatLayout, TlpClass, TlpHeaderLayout, class_of
from ..stream import Upsizer
from .dma_counters import FAILURES, DmaEventsLayout
from .endpoint import DEFAULT_CREDITS, Endpoint
from .memory_port import MemoryReadSignature, MemoryWriteSignature
from .narrow_read import NarrowRead
from .parts import row_bytes_of
from .pcie_read import PcieRead
from .pcie_write import PcieWrite
from .sent_reads import SentReads
from .skid import Skid

__all__ = ["Dma"]

#: Cycles for which a link that came up is not used; TLPs on their way have been dropped by then.
_SETTLING = 64
#: Bound on the reads in the endpoint: it keeps 16 beats of 4, and 7 more are on their way.
_MOST_READS = 127


class Dma(wiring.Component):
    """Read and write memory behind a PCI Express port for several clients.

    :class:`PcieRead` and :class:`PcieWrite` at an :class:`Endpoint`. Requests that come in, for
    the card's own target, pass: the engine neither looks at them nor answers them.

    Reads do not pass writes that were sent before them. So a client that has the response of a
    write, and then that of a read of 0 bytes from the same place, knows that the write is there.

    Throughput is 1 beat per cycle each way, and one request per cycle.

    Specification: docs/dma.md; PCI Express Base Specification, as cited by the blocks.

    Parameters
    ----------
    data_bytes : int
        Bytes of a client's beat: 8, 16, 32, 64 or 128. Beats of TLPs have 32 at least.
    client_count : int
        Clients that read, and clients that write, 1 to 16.
    tag_count : int
        Reads that can be out; even, 4 to 1024. Above 256 the partner must know 10-bit tags.
    slot_bytes : int
        Bytes that a read has at most: a power of two, 128 to 4096.
    reserve : int
        Tags that each client can always have; see :class:`PcieRead`.
    max_payload_bytes : int
        Longest payload that is received or sent, 128 to 4096.
    credits : sequence of 3 pairs
        Header and data credits that are advertised, by class.

    Members
    -------
    reads : In(MemoryReadSignature(data_bytes)).array(client_count)
        Clients that read.
    writes : In(MemoryWriteSignature(data_bytes)).array(client_count)
        Clients that write.
    port : Out(TlpPortSignature(segment_count))
        The port. ``link_up`` is as if it were low for 64 cycles more: what is sent for clients
        until then is dropped.
    requests : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Requests and messages that came.
    answers : In(stream.Signature(TlpBeatLayout(segment_count)))
        Completions for them.
    max_payload, max_request : In(3)
        Max_Payload_Size and Max_Read_Request_Size as in Device Control. A payload size above
        ``max_payload_bytes`` counts as that.
    requester : In(16)
        Requester ID.
    timeout : In(32)
        Cycles that completions may take; see :class:`TagTimer`.
    events : Out(DmaEventsLayout())
        What went wrong, for :class:`DmaCounters`. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    reads: Sequence[Any]
    writes: Sequence[Any]
    port: Any
    requests: stream.Interface
    answers: stream.Interface
    max_payload: Signal
    max_request: Signal
    requester: Signal
    timeout: Signal
    events: Any

    def __init__(
        self,
        *,
        data_bytes: int,
        client_count: int = 4,
        tag_count: int = 64,
        slot_bytes: int = 512,
        reserve: int = 0,
        max_payload_bytes: int = 512,
        credits: Sequence[Sequence[int]] = DEFAULT_CREDITS,
    ):
        segments = segment_count_of(data_bytes)
        self.data_bytes = data_bytes
        self.segment_count = segments
        self.max_payload_bytes = max_payload_bytes
        self.endpoint = Endpoint(
            segment_count=segments, max_payload_bytes=max_payload_bytes, credits=credits
        )
        self.read = PcieRead(
            client_count=client_count,
            segment_count=segments,
            tag_count=tag_count,
            slot_bytes=slot_bytes,
            reserve=reserve,
        )
        self.write = PcieWrite(client_count=client_count, segment_count=segments)
        beats = stream.Signature(TlpBeatLayout(segments))
        super().__init__(
            {
                "reads": In(MemoryReadSignature(data_bytes)).array(client_count),
                "writes": In(MemoryWriteSignature(data_bytes)).array(client_count),
                "port": Out(TlpPortSignature(segments)),
                "requests": Out(beats),
                "answers": In(beats),
                "max_payload": In(3),
                "max_request": In(3),
                "requester": In(16),
                "timeout": In(32),
                "events": Out(DmaEventsLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.endpoint = endpoint = self.endpoint
        m.submodules.read = read = self.read
        m.submodules.write = write = self.write
        self._connect_clients(m)
        wiring.connect(m, endpoint.port, wiring.flipped(self.port))
        wiring.connect(m, endpoint.requests, wiring.flipped(self.requests))
        wiring.connect(m, wiring.flipped(self.answers), endpoint.answers)
        wiring.connect(m, endpoint.completions, read.i)

        # The endpoint knows at once that the link went down, the others later: what they made
        # before must not go out on the next link, however soon that comes.
        link_up = Signal()
        settling = Signal(range(_SETTLING), init=_SETTLING - 1)
        with m.If(~self.port.link_up):
            m.d.sync += [link_up.eq(0), settling.eq(_SETTLING - 1)]
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        with m.Else():
            m.d.sync += link_up.eq(1)
        # Headers of reads may wait here, and so be late; writes may not: what has a response must
        # be in the endpoint's queue, so that a read that comes after it stays behind it.
        m.submodules.headers = headers = Skid(shape=TlpHeaderLayout())
        wiring.connect(m, read.o, headers.i)
        for inner, outer in ((headers.o, endpoint.reads), (write.o, endpoint.writes)):
            m.d.comb += [
                outer.payload.eq(inner.payload),
                outer.valid.eq(inner.valid & link_up),
                inner.ready.eq(outer.ready | ~link_up),
            ]

        m.submodules.sent_reads = sent_reads = SentReads(
            most=_MOST_READS, lane_count=self.segment_count
        )
        tx = self.port.tx
        are_reads = [
            valid & segment.sop & (class_of(segment.header) == TlpClass.NON_POSTED)
            for valid, segment in zip(tx.p.valid, tx.p.segments, strict=True)
        ]
        m.d.sync += sent_reads.sent.eq(Mux(tx.valid & tx.ready, sum(are_reads, start=C(0, 1)), 0))
        m.d.comb += [
            sent_reads.taken.eq(endpoint.reads.valid & endpoint.reads.ready),
            sent_reads.clear.eq(~link_up),
            read.passed.eq(sent_reads.passed),
        ]

        most_payload = self.max_payload_bytes.bit_length() - 8
        m.d.sync += [
            read.max_request.eq(self.max_request),
            write.max_payload.eq(
                Mux(self.max_payload > most_payload, most_payload, self.max_payload)
            ),
        ]
        m.d.comb += [
            read.requester.eq(self.requester),
            read.link_up.eq(link_up),
            read.timeout.eq(self.timeout),
            write.requester.eq(self.requester),
            write.link_up.eq(link_up),
        ]

        events: Any = self.events
        for name, status in FAILURES.items():
            ended = [done.valid & (done.status == status) for done in read.done]
            m.d.sync += events[name].eq(sum(ended, start=C(0, 1)))
        m.d.sync += events.unexpected.eq(read.unexpected)
        for name in ("malformed", "overflow", "nullified"):
            m.d.sync += events[name].eq(getattr(endpoint, name))
        return m

    def _connect_clients(self, m: Module) -> None:
        """Connect clients, through wider beats where theirs are narrower than the engine's."""
        row_bytes = row_bytes_of(self.segment_count)
        if self.data_bytes == row_bytes:
            for inner, outer in zip(
                (*self.read.clients, *self.write.clients), (*self.reads, *self.writes), strict=True
            ):
                wiring.connect(m, wiring.flipped(outer), inner)
            return
        for number, (inner, outer) in enumerate(zip(self.read.clients, self.reads, strict=True)):
            narrow = NarrowRead(i_bytes=row_bytes, o_bytes=self.data_bytes)
            m.submodules[f"narrow_read_{number}"] = narrow
            wiring.connect(m, wiring.flipped(outer.request), inner.request)
            wiring.connect(m, inner.data, narrow.i)
            wiring.connect(m, inner.response, narrow.i_response)
            m.d.comb += narrow.has_packet.eq(self.read.has_packet[number])
            wiring.connect(m, narrow.o, wiring.flipped(outer.data))
            wiring.connect(m, narrow.o_response, wiring.flipped(outer.response))
        for number, (inner, outer) in enumerate(zip(self.write.clients, self.writes, strict=True)):
            upsizer = Upsizer(i_bytes=self.data_bytes, o_bytes=row_bytes)
            m.submodules[f"upsizer_{number}"] = upsizer
            wiring.connect(m, wiring.flipped(outer.request), inner.request)
            wiring.connect(m, wiring.flipped(outer.data), upsizer.i)
            wiring.connect(m, upsizer.o, inner.data)
            wiring.connect(m, inner.response, wiring.flipped(outer.response))
