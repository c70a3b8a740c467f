"""Orders to requests of data and flushes, and to entries; what follows goes into rows."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .completion_queues import QueueLookupLayout, QueueResultLayout
from .config import RoceConfig
from .entry_writer import EntryLayout
from .layouts import CompletionStatus, WriteOrderKind, WriteOrderLayout
from .page_claim import CLAIM_BITS, PAGE_SHIFT, ClaimLayout
from .write_outcomes import WriterRowLayout
from .write_port import DataRequestLayout

__all__ = ["WriteStart"]

_SPACES = 4


class WriteStart(wiring.Component):
    """Begin orders one after the other, none of which waits for a response.

    One of DATA becomes a request, unless it may touch the claimed page: then it waits, and all
    behind it. One of COMPLETION asks its queue for a place. If there is one, each other space to
    which data went since it was last flushed is flushed, one a cycle, and the entry goes its own
    way; what is to happen behind it goes into a row as for all others.

    A row tells what to wait for and what then follows. Interrupts of those who arm too late, which
    are no order's, have rows without a write.

    Latency is none from an order to ``requests`` and ``rows``; 2 cycles from one of COMPLETION to a
    flush or, without, to ``entries``. Throughput is an order per cycle; an entry takes 3 cycles,
    one more for each flush, and 3 more if a driver's command comes in between.

    Specification: docs/roce.md; :class:`CompletionQueues`.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    orders : In(stream.Signature(WriteOrderLayout(config)))
        What to write. ``orders.ready`` depends combinationally on ``orders``, ``claim``,
        ``results`` and ``ready`` of all that goes out.
    claim : In(ClaimLayout())
        Claimed page.
    lookups : Out(stream.Signature(QueueLookupLayout(config)))
        For a completion; the same one until there is a result.
    results : In(stream.Signature(QueueResultLayout()))
        What the queue says.
    requests : Out(stream.Signature(DataRequestLayout()))
        Data and flushes. All that goes out is combinational, and ``valid`` may fall.
    entries : Out(stream.Signature(EntryLayout(config)))
        Entries.
    rows : Out(stream.Signature(WriterRowLayout(config)))
        What to wait for: a row goes in the cycle in which its request or its entry does.
    """

    orders: stream.Interface
    claim: Any
    lookups: stream.Interface
    results: stream.Interface
    requests: stream.Interface
    entries: stream.Interface
    rows: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "orders": In(stream.Signature(WriteOrderLayout(config))),
                "claim": In(ClaimLayout()),
                "lookups": Out(stream.Signature(QueueLookupLayout(config))),
                "results": In(stream.Signature(QueueResultLayout())),
                "requests": Out(stream.Signature(DataRequestLayout())),
                "entries": Out(stream.Signature(EntryLayout(config))),
                "rows": Out(stream.Signature(WriterRowLayout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        order: Any = self.orders.p
        result: Any = self.results.p
        completion = order.completion
        is_data = Signal()
        is_completion = Signal()
        has_result = Signal()  # of the order
        has_notice = Signal()  # of somebody who arms; few, they go first
        row_free = Signal()
        m.d.comb += [
            is_data.eq(self.orders.valid & (order.kind == WriteOrderKind.DATA)),
            is_completion.eq(self.orders.valid & (order.kind == WriteOrderKind.COMPLETION)),
            has_result.eq(self.results.valid & result.is_entry),
            has_notice.eq(self.results.valid & ~result.is_entry),
            row_free.eq(self.rows.ready & ~has_notice),
            self.lookups.valid.eq(is_completion),
            self.lookups.p.queue.eq(completion.queue),
            self.lookups.p.is_solicited.eq(
                completion.solicited | (completion.status != CompletionStatus.SUCCESS)
            ),
        ]

        is_held = Signal()
        beyond = Signal(CLAIM_BITS)
        m.d.comb += [
            # What begins in the page or in the one before may touch it: 4096 bytes at most.
            beyond.eq(self.claim.page - order.span.address[PAGE_SHIFT:]),
            is_held.eq(
                self.claim.valid & (order.span.space == self.claim.space) & ~beyond[1:].any()
            ),
        ]

        # Spaces that have data that nobody has flushed. What was flushed for an entry arrives
        # before it, and those behind it are written later still.
        touched = Signal(_SPACES)
        elsewhere = Signal(_SPACES)
        first_elsewhere = Signal(_SPACES)
        was_flushed = Signal()
        m.d.comb += [
            elsewhere.eq(touched & ~(1 << result.space)),
            first_elsewhere.eq(elsewhere & (~elsewhere + 1)),
        ]

        begins_data = Signal()
        begins_flush = Signal()
        queues_entry = Signal()
        refuses = Signal()
        does_nothing = Signal()
        wants_data = Signal()
        wants_flush = Signal()
        request: Any = self.requests.p
        m.d.comb += [
            wants_data.eq(is_data & row_free & ~is_held),
            wants_flush.eq(has_result & result.fits & elsewhere.any() & row_free),
            begins_data.eq(wants_data & self.requests.ready),
            begins_flush.eq(wants_flush & self.requests.ready),
            queues_entry.eq(self.entries.valid & self.entries.ready),
            refuses.eq(has_result & ~result.fits & row_free),
            does_nothing.eq(self.orders.valid & ~is_data & ~is_completion & row_free),
            self.orders.ready.eq(begins_data | queues_entry | refuses | does_nothing),
            self.results.ready.eq(queues_entry | refuses | (has_notice & self.rows.ready)),
            self.requests.valid.eq(wants_data | wants_flush),
            request.span.eq(order.span),
            request.is_flush.eq(is_completion),
            request.is_last.eq(is_completion & (elsewhere == first_elsewhere)),
        ]
        with m.If(is_completion):
            m.d.comb += request.span.space.eq(
                Cat((first_elsewhere & 0b1010).any(), first_elsewhere[2:].any())
            )
        with m.If(begins_data):
            m.d.sync += touched.eq(touched | (1 << order.span.space))
        with m.If(begins_flush):
            m.d.sync += [touched.eq(touched & ~first_elsewhere), was_flushed.eq(1)]
        with m.If(queues_entry):
            m.d.sync += was_flushed.eq(0)

        entry: Any = self.entries.p
        row: Any = self.rows.p
        m.d.comb += [
            self.entries.valid.eq(has_result & result.fits & ~elsewhere.any() & row_free),
            entry.place.space.eq(result.space),
            entry.place.slot.eq(result.slot),
            entry.waits.eq(was_flushed),
            entry.owner.eq(result.owner),
            entry.count.eq(result.count),
            entry.completion.eq(completion),
            self.rows.valid.eq(
                has_notice | begins_data | begins_flush | queues_entry | refuses | does_nothing
            ),
            row.has_write.eq(begins_data | begins_flush | queues_entry),
            row.is_entry.eq(queues_entry),
            row.is_refused.eq(refuses),
            row.interrupt.eq((queues_entry | has_notice) & result.interrupt),
            row.vector.eq(result.vector),
            row.last.eq((begins_data | queues_entry | refuses | does_nothing) & order.last),
            row.event.eq(order.event),
            row.queue_pair.eq(order.queue_pair),
        ]
        return m
