"""Orders to memory writes, completion queue entries, and events when these are done."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma.memory_port import MemoryRequestLayout, MemoryWriteSignature
from ..stream import PacketLayout, PacketSignature, Queue
from .completion_queues import (
    ENTRY_BYTES,
    VECTOR_BITS,
    CompletionQueues,
    QueueCommandLayout,
    QueueSetupLayout,
)
from .config import RoceConfig
from .layouts import (
    CompletionStatus,
    EventLayout,
    FailureLayout,
    WriteOrderKind,
    WriteOrderLayout,
)
from .write_outcomes import FailedLayout, WriteOutcomes, WriterRowLayout

__all__ = ["ClaimLayout", "CompletionEntryLayout", "Writer"]

#: Writes that may be without their response: as many as a client of the DMA may have; with narrow
#: beats so many that those of ten beats cover 160 cycles.
_ROWS = 64
_NARROW_ROWS = 16
#: Packets of data that may be begun before they come. An order and its data leave the mover 7
#: cycles apart, and orders come every 2: 4 of them.
_AHEAD = 7
_SPACES = 4
_PAGE_SHIFT = 12  # of a claim: 4 KiB
#: Bits of a page's number that are compared with the claimed one: of orders elsewhere, 2 of 4096
#: wait for nothing, and the adder is short.
_CLAIM_BITS = 12


class ClaimLayout(data.StructLayout):
    """While ``valid``, whoever holds it wants the 4 KiB ``page`` of ``space`` for itself."""

    def __init__(self):
        super().__init__({"valid": 1, "space": 2, "page": 64 - _PAGE_SHIFT})


class CompletionEntryLayout(data.StructLayout):
    """What a completion queue entry has in its 32 bytes, the last 8 of which are 0.

    Fields
    ------
    handle, byte_length, value : 32 bits
    queue_pair, status : 24, 8 bits
    source_queue_pair : 24 bits
    is_write, has_immediate, has_invalidated, solicited, owner : 1 bit each
        Flags: bits 0 to 3, and 7.
    count : 32 bits
        Entries before this one, modulo 2**25.
    """

    def __init__(self):
        super().__init__(
            {
                "handle": 32,
                "byte_length": 32,
                "value": 32,
                "queue_pair": 24,
                "status": 8,
                "source_queue_pair": 24,
                "is_write": 1,
                "has_immediate": 1,
                "has_invalidated": 1,
                "solicited": 1,
                "reserved": 3,
                "owner": 1,
                "count": 32,
            }
        )


class Writer(wiring.Component):
    """Write data and completion queue entries; give events on when all before them is written.

    Orders are begun one after the other. One of DATA becomes a request, and the next packet of
    ``data`` goes with it, behind those of up to 6 requests before; one of COMPLETION asks its queue
    for a place and becomes a request of 32 bytes with an entry (:class:`CompletionEntryLayout`), or
    none if the queue has no room. What is to follow, the event and perhaps an interrupt, waits in a
    queue for the response: see :class:`WriteOutcomes`, also for what happens when a write fails.
    Responses are not waited for otherwise, so an entry may say SUCCESS although its data's write
    has failed; its queue pair then fails right behind.

    **Order.** Writes of one space stay in order on their way. Before an entry, if any data have
    been written to another space since that was last flushed, a write of no bytes goes to
    that space, and the entry waits for its response: all data before have reached their memory.

    **Claims.** While ``claim.valid``, no write begins that touches the page, nor, if they look like
    it in 12 bits of their number, others of that space; the orders behind wait too. ``claimed``
    comes when what was begun before has its response. For this the writer needs packets of the
    orders that it has taken, responses, and that ``events``, ``failures`` and ``interrupts`` are
    taken: who holds a claim must hold up none of these, nor may the packet of an order that was
    taken wait for the next order to be.

    Latency is 1 cycle from an order or a beat to ``writes``, 3 from an order of COMPLETION; 1 from
    a response to ``events`` and ``interrupts``, 4 from an order that writes nothing. Throughput is
    an order per cycle and a beat per cycle without a gap between packets; an entry takes 3 cycles,
    with beats of 16 bytes 5 and of 8 bytes 7, and 3 more if a driver's command comes in between.
    With narrow beats an order takes 2 cycles at least, and each begins 1 cycle later.

    Specification: docs/roce.md; the contract of :func:`MemoryWriteSignature`; streams follow the
    rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    orders : In(stream.Signature(WriteOrderLayout(config)))
        What to write. ``orders.ready`` depends combinationally on ``orders``, ``data``, ``claim``
        and ``ready`` of what ``writes`` has. An order's ``queue_pair`` is that of its event.
    data : In(PacketSignature(data_bytes))
        For each order of DATA, a packet of its length. ``data.ready`` depends combinationally on
        ``writes.data.ready``.
    writes : Out(MemoryWriteSignature(data_bytes))
        Registered. ``writes.response.ready`` depends combinationally on ``events.ready`` and
        ``interrupts.ready``.
    events : Out(stream.Signature(EventLayout(config)))
        For each order with ``last`` its event, unless it is NOTHING without ``notify``, in order.
    failed : Out(FailedLayout(config))
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
                "failed": Out(FailedLayout(config)),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "claim": In(ClaimLayout()),
                "claimed": Out(1),
                "interrupts": Out(stream.Signature(VECTOR_BITS)),
                "queue_setups": In(stream.Signature(QueueSetupLayout(config))),
                "queue_commands": In(stream.Signature(QueueCommandLayout(config))),
                "queue_errors": Out(stream.Signature(config.bits("completion_queues"))),
            }
        )
        self.entry_beats = max(1, ENTRY_BYTES // config.data_bytes)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queues = queues = CompletionQueues(config=self.config)
        is_narrow = self.config.is_narrow
        m.submodules.rows = rows = Queue(
            shape=WriterRowLayout(self.config),
            depth=_NARROW_ROWS if is_narrow else _ROWS,
            block=not is_narrow,
            shallow=is_narrow,
        )
        m.submodules.outcomes = outcomes = WriteOutcomes(config=self.config)
        wiring.connect(m, wiring.flipped(self.queue_setups), queues.queue_setups)
        wiring.connect(m, wiring.flipped(self.queue_commands), queues.queue_commands)
        wiring.connect(m, queues.queue_errors, wiring.flipped(self.queue_errors))
        wiring.connect(m, rows.o, outcomes.rows)
        wiring.connect(m, wiring.flipped(self.writes.response), outcomes.responses)
        wiring.connect(m, outcomes.events, wiring.flipped(self.events))
        wiring.connect(m, outcomes.failures, wiring.flipped(self.failures))
        wiring.connect(m, outcomes.interrupts, wiring.flipped(self.interrupts))
        m.d.comb += self.failed.eq(outcomes.failed)

        order: Any = self.orders.p
        result: Any = queues.results.p
        row: Any = rows.i.p
        completion = order.completion
        is_data = Signal()
        is_completion = Signal()
        has_result = Signal()  # of the order
        has_notice = Signal()  # of somebody who arms
        m.d.comb += [
            is_data.eq(self.orders.valid & (order.kind == WriteOrderKind.DATA)),
            is_completion.eq(self.orders.valid & (order.kind == WriteOrderKind.COMPLETION)),
            has_result.eq(queues.results.valid & result.is_entry),
            has_notice.eq(queues.results.valid & ~result.is_entry),
            queues.lookups.valid.eq(is_completion),
            queues.lookups.p.queue.eq(completion.queue),
            queues.lookups.p.is_solicited.eq(
                completion.solicited | (completion.status != CompletionStatus.SUCCESS)
            ),
        ]

        # One row a cycle: marks and notices, which are few, go first.
        marks = self._claim(m, rows.i.ready, outcomes.marked)
        row_free = Signal()
        request_free = Signal()
        beat_free = Signal()
        m.d.comb += [
            row_free.eq(rows.i.ready & ~marks & ~has_notice),
            request_free.eq(self.writes.request.ready | ~self.writes.request.valid),
            beat_free.eq(self.writes.data.ready | ~self.writes.data.valid),
        ]

        address = Signal(64)
        touches = Signal()  # the claimed page
        beyond = Signal(_CLAIM_BITS)
        space = Mux(is_completion, result.space, order.span.space)
        m.d.comb += [
            address.eq(
                Mux(is_completion, result.slot << (64 - len(result.slot)), order.span.address)
            ),
            # What begins in the page or in the one before may touch it: 4096 bytes at most.
            beyond.eq(self.claim.page - address[_PAGE_SHIFT:]),
            touches.eq(self.claim.valid & (space == self.claim.space) & ~beyond[1:].any()),
        ]
        is_held, is_known = self._hold(m, touches, is_data | queues.results.valid)

        # Spaces that have data that nobody has waited for.
        touched = Signal(_SPACES)
        elsewhere = Signal(_SPACES)
        flushing = Signal()
        m.d.comb += elsewhere.eq(touched & ~(1 << result.space))

        # Packets of data that were begun and have not passed.
        ahead = Signal(range(_AHEAD + 1))
        passing = Signal()
        passes = Signal()
        ends = Signal()
        begins_data = Signal()
        begins_entry = Signal()
        begins_flush = Signal()
        refuses = Signal()
        does_nothing = Signal()
        beat_number = Signal(range(max(2, self.entry_beats)))  # of an entry
        writes_beat = Signal()
        ends_entry = Signal()
        may_begin = Signal()
        m.d.comb += [
            passing.eq(ahead != 0),
            passes.eq(passing & beat_free & self.data.valid),
            ends.eq(passes & self.data.p.last),
            may_begin.eq(row_free & request_free),
            begins_data.eq(is_data & is_known & may_begin & ~is_held & (ahead != _AHEAD)),
            begins_entry.eq(
                has_result
                & is_known
                & result.fits
                & ~elsewhere.any()
                & ~flushing
                & ~is_held
                & may_begin
                & ~passing
                & beat_free
                & (beat_number == 0)
            ),
            begins_flush.eq(has_result & result.fits & elsewhere.any() & ~flushing & may_begin),
            refuses.eq(has_result & ~result.fits & row_free),
            does_nothing.eq(self.orders.valid & ~is_data & ~is_completion & row_free),
            writes_beat.eq(begins_entry | (beat_free & (beat_number != 0))),
            ends_entry.eq(writes_beat & (beat_number == self.entry_beats - 1)),
            self.orders.ready.eq(begins_data | ends_entry | refuses | does_nothing),
            queues.results.ready.eq(ends_entry | refuses | (has_notice & rows.i.ready & ~marks)),
            self.data.ready.eq(passing & beat_free),
        ]
        m.d.sync += [
            ahead.eq(ahead + begins_data - ends),
            flushing.eq(begins_flush | (flushing & ~outcomes.flushed)),
        ]
        if self.entry_beats > 1:
            m.d.sync += beat_number.eq(beat_number + writes_beat)
        first_elsewhere = elsewhere & (~elsewhere + 1)
        with m.If(begins_data):
            m.d.sync += touched.eq(touched | (1 << order.span.space))
        with m.If(begins_flush):
            m.d.sync += touched.eq(touched & ~first_elsewhere)

        m.d.comb += [
            rows.i.valid.eq(
                (rows.i.ready & (marks | has_notice))
                | begins_data
                | begins_entry
                | begins_flush
                | refuses
                | does_nothing
            ),
            row.has_write.eq(begins_data | begins_entry | begins_flush),
            row.is_flush.eq(begins_flush),
            row.is_mark.eq(marks),
            row.is_refused.eq(refuses),
            row.interrupt.eq((begins_entry | (has_notice & ~marks)) & result.interrupt),
            row.vector.eq(result.vector),
            row.last.eq((begins_data | begins_entry | refuses | does_nothing) & order.last),
            row.event.eq(order.event),
            row.queue_pair.eq(order.queue_pair),
        ]

        request: Any = Signal(MemoryRequestLayout(), reset_less=True)
        m.d.comb += self.writes.request.payload.eq(request)
        with m.If(request_free):
            m.d.sync += [
                self.writes.request.valid.eq(row.has_write),
                request.address.eq(address),
                request.space.eq(space),
                request.length.eq(
                    Mux(is_completion, Mux(begins_flush, 0, ENTRY_BYTES), order.span.length)
                ),
            ]
            with m.If(begins_flush):
                m.d.sync += request.space.eq(
                    Cat((first_elsewhere & 0b1010).any(), first_elsewhere[2:].any())
                )

        beat: Any = Signal(PacketLayout(self.config.data_bytes), reset_less=True)
        m.d.comb += self.writes.data.payload.eq(beat)
        with m.If(beat_free):
            m.d.sync += self.writes.data.valid.eq(passes | writes_beat)
            m.d.sync += beat.eq(self.data.payload)
            with m.If(~passing):
                self._load(m, self._entry(m, order, result), beat, beat_number)
        return m

    def _hold(self, m: Module, touches: Value, is_here: Value) -> tuple[Value, Value]:
        """Whether what is next has to wait for the claim, and whether that is known.

        With narrow beats it is known a cycle late. In the first cycle of a claim nothing begins but
        what its mark is behind.
        """
        if not self.config.is_narrow:
            return touches, C(1)
        is_held = Signal()
        is_known = Signal()
        m.d.sync += [is_held.eq(touches), is_known.eq(is_here & ~self.orders.ready)]
        return is_held, is_known

    def _claim(self, m: Module, row_ready: Value, marked: Value) -> Signal:
        """Grant the claim when a mark behind all that was begun before has come through.

        Returns
        -------
        Signal
            Whether the next row is to be the mark.
        """
        marks = Signal()
        mark_is_out = Signal()
        is_given_up = Signal()  # the claim that it was for
        m.d.comb += marks.eq(self.claim.valid & ~mark_is_out & ~self.claimed)
        with m.If(marked):
            m.d.sync += [mark_is_out.eq(0), self.claimed.eq(~is_given_up)]
        with m.If(marks & row_ready):
            m.d.sync += [mark_is_out.eq(1), is_given_up.eq(0)]
        with m.If(~self.claim.valid):
            m.d.sync += [self.claimed.eq(0), is_given_up.eq(1)]
        return marks

    def _entry(self, m: Module, order, result) -> Value:
        """Bits of the entry, which stay while its order and its result do."""
        completion = order.completion
        entry: Any = Signal(CompletionEntryLayout())
        m.d.comb += [
            *(
                entry[name].eq(completion[name])
                for name in (
                    "handle",
                    "byte_length",
                    "value",
                    "queue_pair",
                    "status",
                    "source_queue_pair",
                    "is_write",
                    "has_immediate",
                    "has_invalidated",
                    "solicited",
                )
            ),
            entry.owner.eq(result.owner),
            entry.count.eq(result.count),
        ]
        return entry.as_value()

    def _load(self, m: Module, entry: Value, beat, beat_number: Signal) -> None:
        """Put a beat of ``entry`` into ``beat``; what is not kept of it stays as it comes."""
        bits = 8 * min(ENTRY_BYTES, self.config.data_bytes)
        with m.Switch(beat_number):
            for number in range(self.entry_beats):
                with m.Case(number):
                    m.d.sync += beat.data[:bits].eq(entry[number * bits :])
        m.d.sync += [
            beat.keep.eq((1 << bits // 8) - 1),
            beat.last.eq(beat_number == self.entry_beats - 1),
            beat.error.eq(0),
        ]
