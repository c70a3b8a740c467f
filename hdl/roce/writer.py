"""Orders to memory writes, completion queue entries, and events when these are done."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma.memory_port import MemoryWriteSignature
from ..stream import PacketSignature, Queue
from .completion_queues import (
    VECTOR_BITS,
    CompletionQueues,
    QueueCommandLayout,
    QueueSetupLayout,
)
from .config import RoceConfig
from .entry_writer import EntryWriter
from .layouts import EventLayout, FailureLayout, StrobeLayout, WriteOrderLayout
from .one_row import OneRow
from .page_claim import ClaimLayout, PageClaim
from .write_outcomes import WriteOutcomes, WriterRowLayout, row_count
from .write_port import WritePort
from .write_start import WriteStart

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Write data and completion queue entries; give events on when all before them is written.

    ::

        orders -> WriteStart -- requests, data --> WritePort <-> writes
                   |     |                            ^   |
                   |     +- entries -> EntryWriter ---+   +-- responses to the last flushes before
                   |                       ^--------------+   entries
                   v rows                                 v statuses
                  Queue ---------------------------> WriteOutcomes -> events, failures, interrupts

    Orders are begun one after the other (:class:`WriteStart`). One of DATA becomes a request, and
    the next packet of ``data`` goes with it, behind those of up to 7 requests before; one of
    COMPLETION asks its queue for a place and becomes an entry of 32 bytes
    (:class:`CompletionEntryLayout`), or none if the queue has no room. What is to follow, the event
    and perhaps an interrupt, waits in a row for the status: see :class:`WriteOutcomes`, also for
    what happens when a write fails. An entry may say SUCCESS although its data's write has
    failed; its queue pair then fails right behind.

    **Order.** Writes of one space stay in order on their way. Before an entry, if any data have
    been written to another space since that was last flushed, a write of no bytes goes to that
    space, and the entry waits for its response (:class:`EntryWriter`): all data before have reached
    their memory. Entries behind it wait too, in the order of their orders; data do not.
    Rows, and so events, stay in the order of orders, whatever is written first.

    **Nothing waits for ever**, if a memory that has responded takes what is next. Responses come in
    the order of requests, but rows stand in the order of orders: a response of data may come before
    its row's turn, behind an entry whose own request memory takes only when that response is taken,
    or which is held by a claim that waits for it. So all responses are taken at once: there is room
    for the status of every row. Then each flush is answered; each entry that is not held begins,
    before requests that have not begun yet; and the row in front of all others is of something that
    has begun or of the next entry.

    **Claims.** While ``claim.valid``, no write begins that touches the page, nor, if they look like
    it in 12 bits of their number, others of that space; an entry may still begin in the cycle
    in which the claim comes. The orders behind one of DATA that is held wait too, and the
    entries behind an entry. ``claimed`` comes when all that was begun up to then has its response
    (:class:`PageClaim`). For this the writer needs packets of the orders that it has taken, and
    responses: the packet of an order that was taken must wait neither for the next order to
    be taken nor for who holds a claim.

    Latency is 1 cycle from an order or a beat to ``writes``, 6 from an order of COMPLETION, 7 with
    beats of more than 8 bytes; with a flush, which is there at 3, an entry follows the response
    by 3. Latency from a response to ``events`` and ``interrupts`` is 4, and as much from an order
    that writes nothing, with beats of 8 bytes 5. Throughput is an order per cycle, with beats of 8
    bytes in 2 cycles, and a beat per cycle without a gap between packets; an entry takes 3 cycles,
    one more for each flush, or its beats if these are more, and 3 more if a driver's command comes
    in between. 66 writes may be without their response and 16 entries wait for flushes; with beats
    of more than 8 bytes 257 and 65.

    Specification: docs/roce.md; the contract of :func:`MemoryWriteSignature`; streams follow the
    rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    orders : In(stream.Signature(WriteOrderLayout(config)))
        What to write. ``orders.ready`` depends combinationally on ``orders``, ``claim`` and
        ``writes.request.ready``. An order's ``queue_pair`` is that of its event.
    data : In(PacketSignature(data_bytes))
        For each order of DATA, a packet of its length. ``data.ready`` depends combinationally on
        ``writes.data.ready``.
    writes : Out(MemoryWriteSignature(data_bytes))
        Registered. ``tag`` is 1 for an entry, 2 for the last flush before one, and 0 for all
        others. ``writes.response.ready`` is 1.
    events : Out(stream.Signature(EventLayout(config)))
        For each order with ``last`` its event, unless it is NOTHING without ``notify``, in order.
    failed : Out(StrobeLayout(config))
        Strobe, registered: a queue pair fails.
    failures : Out(stream.Signature(FailureLayout(config)))
        The same: REMOTE_OPERATION of a write, FLUSHED if a completion queue had no room. Once for
        each queue pair until its event RESET.
    claim : In(ClaimLayout())
        Stays as it is until ``claimed``; between two claims it is not valid for 1 cycle at least.
    claimed : Out(1)
        The claim is granted; means something while ``claim.valid``. Registered.
    interrupts : Out(stream.Signature(11))
        Vectors, after the response to the entry's write. Registered.
    queue_setups, queue_commands, queue_errors :
        See :class:`CompletionQueues`.
    """

    orders: stream.Interface
    data: stream.Interface
    writes: Any
    events: stream.Interface
    failed: Any
    failures: stream.Interface
    claim: Any
    claimed: Signal
    interrupts: stream.Interface
    queue_setups: stream.Interface
    queue_commands: stream.Interface
    queue_errors: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "orders": In(stream.Signature(WriteOrderLayout(config))),
                "data": In(PacketSignature(config.data_bytes)),
                "writes": Out(MemoryWriteSignature(config.data_bytes)),
                "events": Out(stream.Signature(EventLayout(config))),
                "failed": Out(StrobeLayout(config)),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "claim": In(ClaimLayout()),
                "claimed": Out(1),
                "interrupts": Out(stream.Signature(VECTOR_BITS)),
                "queue_setups": In(stream.Signature(QueueSetupLayout(config))),
                "queue_commands": In(stream.Signature(QueueCommandLayout(config))),
                "queue_errors": Out(stream.Signature(config.bits("completion_queues"))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queues = queues = CompletionQueues(config=self.config)
        m.submodules.start = start = WriteStart(config=self.config)
        m.submodules.entries = entries = EntryWriter(config=self.config)
        m.submodules.port = port = WritePort(config=self.config)
        m.submodules.rows = rows = Queue(
            shape=WriterRowLayout(self.config), depth=row_count(self.config), block=True
        )
        m.submodules.outcomes = outcomes = WriteOutcomes(config=self.config)
        begun, most = rows.i, rows.capacity
        if self.config.is_narrow:
            m.submodules.begun = row = OneRow(shape=WriterRowLayout(self.config))
            wiring.connect(m, row.o, rows.i)
            begun, most = row.i, most + 1
        m.submodules.claims = claims = PageClaim(most=most)

        def link(source, sink):
            wiring.connect(m, source, sink)

        link(wiring.flipped(self.queue_setups), queues.queue_setups)
        link(wiring.flipped(self.queue_commands), queues.queue_commands)
        link(queues.queue_errors, wiring.flipped(self.queue_errors))

        link(wiring.flipped(self.orders), start.orders)
        link(start.lookups, queues.lookups)
        link(queues.results, start.results)
        link(start.requests, port.requests)
        link(wiring.flipped(self.data), port.data)
        link(start.entries, entries.entries)
        link(entries.requests, port.entries)
        link(entries.beats, port.beats)
        link(port.writes, wiring.flipped(self.writes))

        link(start.rows, begun)
        link(rows.o, outcomes.rows)
        for number in range(2):
            link(port.statuses[number], outcomes.statuses[number])
        link(outcomes.events, wiring.flipped(self.events))
        link(outcomes.failures, wiring.flipped(self.failures))
        link(outcomes.interrupts, wiring.flipped(self.interrupts))
        m.d.comb += [
            self.failed.eq(outcomes.failed),
            entries.flushed.eq(port.flushed),
            start.claim.eq(self.claim),
            entries.claim.eq(self.claim),
            claims.claim.eq(self.claim),
            claims.begins.eq(port.begins),
            claims.ends.eq(port.ends),
            self.claimed.eq(claims.claimed),
        ]
        return m
