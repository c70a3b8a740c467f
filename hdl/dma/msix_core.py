"""MSI-X without its registers: from events to messages."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .memory_port import MemoryWriteSignature
from .msix_events import MsixEvents
from .msix_parts import (
    LIMIT_BITS,
    VECTOR_BITS,
    MsixAccessLayout,
    MsixSentLayout,
    check_vectors,
    row_bits,
    row_shape,
)
from .msix_rows import MsixRows
from .msix_sender import MsixSender
from .msix_timer import MsixTimer

__all__ = ["MsixCore"]


class MsixCore(wiring.Component):
    """Join what takes events, knows of vectors, ends holds and sends messages.

    Who accesses it, :class:`MsixBus`, clears all rows and writes all entries and limits after
    reset; then it changes or reads what belongs to a vector only in the two cycles behind one in
    which it asks for ``access.read``, with ``access.flush`` and ``access.hold`` in all three.

    Latency and throughput are those of :class:`Msix`.

    Specification: that of :class:`Msix`.

    Parameters
    ----------
    vector_count, data_bytes, tick_cycles, interval_bits
        Those of :class:`Msix`.

    Members
    -------
    started : In(1)
        Whether events are taken.
    allowed : In(1)
        Whether messages may begin.
    events : In(stream.Signature(11))
        Numbers of vectors.
    o : Out(MemoryWriteSignature(data_bytes))
        Messages.
    sent : Out(MsixSentLayout(vector_count, interval_bits))
        Strobe in the first cycle of a message on ``o``.
    unknown, failed : Out(1)
        Strobes: an event of no vector; a response other than OK.
    clear, clear_row, mask_write, mask_row, mask_data, limit_write, limit : In
        See :class:`MsixRows` and :class:`MsixEvents`; the limit is ``access.vector``'s.
    access : In(MsixAccessLayout(vector_count))
        See :class:`MsixSender`.
    quiet : Out(1)
        Nothing is on its way.
    entry : Out(32).array(4), pending_row, masked_row : Out(row_bits)
        What ``access.read`` asked for, in the next cycle.
    """

    started: Signal
    allowed: Signal
    events: stream.Interface
    o: Any
    sent: data.View
    unknown: Signal
    failed: Signal
    clear: Signal
    clear_row: Signal
    mask_write: Signal
    mask_row: Signal
    mask_data: Signal
    limit_write: Signal
    limit: Signal
    access: data.View
    quiet: Signal
    entry: list[Signal]
    pending_row: Signal
    masked_row: Signal

    def __init__(self, *, vector_count: int, data_bytes: int, tick_cycles: int, interval_bits: int):
        check_vectors(vector_count, interval_bits)
        self._events = MsixEvents(vector_count=vector_count)
        self._rows = MsixRows(vector_count=vector_count, interval_bits=interval_bits)
        self._timer = MsixTimer(
            vector_count=vector_count, interval_bits=interval_bits, tick_cycles=tick_cycles
        )
        self._sender = MsixSender(
            vector_count=vector_count, data_bytes=data_bytes, interval_bits=interval_bits
        )
        width, row = row_bits(vector_count), row_shape(vector_count)
        super().__init__(
            {
                "started": In(1),
                "allowed": In(1),
                "events": In(stream.Signature(VECTOR_BITS)),
                "o": Out(MemoryWriteSignature(data_bytes)),
                "sent": Out(MsixSentLayout(vector_count, interval_bits)),
                "unknown": Out(1),
                "failed": Out(1),
                "clear": In(1),
                "clear_row": In(row),
                "mask_write": In(1),
                "mask_row": In(row),
                "mask_data": In(width),
                "limit_write": In(1),
                "limit": In(LIMIT_BITS),
                "access": In(MsixAccessLayout(vector_count)),
                "quiet": Out(1),
                "entry": Out(32).array(4),
                "pending_row": Out(width),
                "masked_row": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.incoming = incoming = self._events
        m.submodules.rows = rows = self._rows
        m.submodules.timer = timer = self._timer
        m.submodules.sender = sender = self._sender
        wiring.connect(m, wiring.flipped(self.events), incoming.events)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        m.d.comb += [
            incoming.enable.eq(self.started),
            incoming.was_pending.eq(rows.was_pending),
            incoming.limit_write.eq(self.limit_write),
            incoming.limit_vector.eq(self.access.vector),
            incoming.limit.eq(self.limit),
            rows.clear.eq(self.clear),
            rows.clear_row.eq(self.clear_row),
            rows.arrival.eq(incoming.arrival),
            rows.visit_row.eq(sender.visit_row),
            rows.mask_write.eq(self.mask_write),
            rows.mask_row.eq(self.mask_row),
            rows.mask_data.eq(self.mask_data),
            rows.sent.eq(sender.sent),
            rows.release.eq(timer.release),
            rows.release_vector.eq(timer.release_vector),
            timer.sent.eq(sender.sent),
            timer.held.eq(rows.held),
            sender.allowed.eq(self.allowed),
            sender.hint.eq(incoming.arrival.valid),
            sender.hint_row.eq(incoming.arrival.vector[5:]),
            sender.due.eq(rows.due),
            sender.access.eq(self.access),
            self.sent.eq(sender.sent),
            self.unknown.eq(incoming.unknown),
            self.failed.eq(sender.failed),
            self.quiet.eq(sender.quiet),
            self.pending_row.eq(rows.pending),
            self.masked_row.eq(rows.masked),
            *(word.eq(found) for word, found in zip(self.entry, sender.entry, strict=True)),
        ]
        return m
