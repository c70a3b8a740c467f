"""What becomes of writes: events, interrupts and failures, when their responses have come."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import Queue
from .completion_queues import VECTOR_BITS
from .config import RoceConfig
from .layouts import CompletionStatus, EventKind, EventLayout, FailureLayout, StrobeLayout

__all__ = ["WriteOutcomes", "WriterRowLayout", "row_count"]

#: Syndrome of a NAK that says remote operational error (9.7.5.2.7): 011 and code 3.
REMOTE_OPERATIONAL_ERROR = 0x63
#: Actions on their way to here that may make queue pairs fail, when nobody takes failures.
_ACTIONS = 63


def row_count(config: RoceConfig) -> int:
    """Count the rows that wait for responses, but for one that a queue may have outside.

    64 at least: as many writes as a client of the DMA may have without their response. With wide
    beats a data write, a flush and an entry begin in 5 cycles and are done behind two round trips
    to memory, so these rows are enough for 200 cycles each.
    """
    return 64 if config.is_narrow else 256


class WriterRowLayout(data.StructLayout):
    """What was begun.

    Fields
    ------
    has_write : 1 bit
        There will be a status.
    is_entry : 1 bit
        It is the next one of those of entries.
    is_refused : 1 bit
        The completion queue did not take the entry.
    interrupt, vector : 1, 11 bits
        To raise, when the status is here.
    last, event, queue_pair :
        Of the order.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "has_write": 1,
                "is_entry": 1,
                "is_refused": 1,
                "interrupt": 1,
                "vector": VECTOR_BITS,
                "last": 1,
                "event": EventLayout(config),
                "queue_pair": config.bits("queue_pairs"),
            }
        )


class WriteOutcomes(wiring.Component):
    """Wait for what became of all that was begun, in order, and tell what follows.

    A queue pair fails with the first write of its that ends with anything but OK, or with the first
    entry that its completion queue did not take, and stays failed until its event RESET. That it
    fails is told once, on ``failed`` and on ``failures``. From then on, the failing action
    included, those of its events that are answers (ACK and all NAKs) are FATAL_NAK with syndrome
    0x63: any other answer to a later packet would say that this one was executed.

    Events of kind NOTHING without ``notify`` end here. An interrupt is raised whatever the response
    says, since nobody would arm its queue again.

    Latency is 1 cycle from a status to ``interrupts``, 1 to ``events``, 3 more to ``failures``.
    Throughput is 1 row per cycle, with narrow beats 1 in 2 cycles.

    Specification: IBTA Architecture Specification volume 1, 9.7.5.2.7 (remote operational error),
    written without its text; streams follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    rows : In(stream.Signature(WriterRowLayout(config)))
        What was begun. ``rows.ready`` depends combinationally on ``rows``, on ``valid`` of
        ``statuses``, and, if beats are not narrow, on ``ready`` of ``events`` and ``interrupts``.
    statuses : In(stream.Signature(1)).array(2)
        Whether a write has failed: of entries from the second, of others from the first; one
        for each row with a write. ``ready`` depends combinationally on what ``rows.ready`` does.
    events : Out(stream.Signature(EventLayout(config)))
        From registers and a RAM through a multiplexer.
    failed : Out(StrobeLayout(config))
        Registered.
    failures : Out(stream.Signature(FailureLayout(config)))
        Registered. As many as there are queue pairs may wait or, if these are more, as rows and
        the actions on their way to them: whoever takes failures before anything that makes new
        actions never lets them fill up. If they do, rows wait.
    interrupts : Out(stream.Signature(11))
        Registered.
    """

    rows: stream.Interface
    statuses: list[stream.Interface]
    events: stream.Interface
    failed: Any
    failures: stream.Interface
    interrupts: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "rows": In(stream.Signature(WriterRowLayout(config))),
                "statuses": In(stream.Signature(1)).array(2),
                "events": Out(stream.Signature(EventLayout(config))),
                "failed": Out(StrobeLayout(config)),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "interrupts": Out(stream.Signature(VECTOR_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        queue_pair_bits = config.bits("queue_pairs")
        m.submodules.failures = failures = Queue(
            shape=data.StructLayout({"queue_pair": queue_pair_bits, "is_refused": 1}),
            depth=min(config.queue_pairs, row_count(config) + 1 + _ACTIONS),
        )
        # Which queue pairs have failed. Each is reset before it is used, and so its row written.
        m.submodules.broken = broken = SimpleDualPortRam(
            shape=1, depth=config.queue_pairs, lane_count=1, latency=1, bypass=True
        )
        row: Any = self.rows.p

        # Of the row done in the last cycle, or waiting: it is here that `broken` is known.
        told = Signal()
        is_bad = Signal(reset_less=True)
        is_refused = Signal(reset_less=True)
        last = Signal(reset_less=True)
        queue_pair = Signal(queue_pair_bits, reset_less=True)
        event: Any = Signal(EventLayout(config), reset_less=True)
        vector = Signal(VECTOR_BITS, reset_less=True)

        finishes = Signal()
        has_room = Signal()
        taken = Signal()
        has_status = Signal()
        status = Signal()  # that it failed
        m.d.comb += [
            has_status.eq(
                Mux(row.is_entry, self.statuses[1].valid, self.statuses[0].valid) | ~row.has_write
            ),
            status.eq(Mux(row.is_entry, self.statuses[1].payload, self.statuses[0].payload)),
            has_room.eq(
                ~(told | self.interrupts.valid)
                if config.is_narrow
                else (~told | finishes) & (~self.interrupts.valid | self.interrupts.ready)
            ),
            taken.eq(self.rows.valid & has_status & has_room),
            self.rows.ready.eq(taken),
            self.statuses[0].ready.eq(taken & row.has_write & ~row.is_entry),
            self.statuses[1].ready.eq(taken & row.has_write & row.is_entry),
            self.interrupts.payload.eq(vector),
            broken.read_en.eq(taken),
            broken.read_address.eq(row.queue_pair),
        ]
        with m.If(finishes):
            m.d.sync += told.eq(0)
        with m.If(self.interrupts.ready):
            m.d.sync += self.interrupts.valid.eq(0)
        with m.If(taken):
            m.d.sync += [
                told.eq(1),
                is_bad.eq(row.is_refused | (row.has_write & status)),
                is_refused.eq(row.is_refused),
                last.eq(row.last),
                queue_pair.eq(row.queue_pair),
                event.eq(row.event),
                self.interrupts.valid.eq(row.interrupt),
                vector.eq(row.vector),
            ]

        was_broken = broken.read_data
        is_answer = Signal()
        fails = Signal()
        m.d.comb += [
            is_answer.eq(
                (event.kind == EventKind.ACK)
                | (event.kind == EventKind.SEQUENCE_NAK)
                | (event.kind == EventKind.RNR_NAK)
                | (event.kind == EventKind.FATAL_NAK)
            ),
            # Once there is room it stays, since nothing else goes there: `valid` does not fall.
            self.events.valid.eq(
                told & last & ((event.kind != EventKind.NOTHING) | event.notify) & failures.i.ready
            ),
            self.events.payload.eq(event),
            finishes.eq(told & failures.i.ready & (~self.events.valid | self.events.ready)),
            fails.eq(finishes & is_bad & ~was_broken),
            failures.i.valid.eq(fails),
            failures.i.p.queue_pair.eq(queue_pair),
            failures.i.p.is_refused.eq(is_refused),
            broken.write_lanes.eq(finishes & (is_bad | (last & (event.kind == EventKind.RESET)))),
            broken.write_address.eq(queue_pair),
            broken.write_data.eq(is_bad),
            self.failures.valid.eq(failures.o.valid),
            self.failures.p.queue_pair.eq(failures.o.p.queue_pair),
            self.failures.p.status.eq(
                Mux(
                    failures.o.p.is_refused,
                    CompletionStatus.FLUSHED,
                    CompletionStatus.REMOTE_OPERATION,
                )
            ),
            failures.o.ready.eq(self.failures.ready),
        ]
        with m.If(is_answer & (is_bad | was_broken)):
            m.d.comb += [
                self.events.p.kind.eq(EventKind.FATAL_NAK),
                self.events.p.syndrome.eq(REMOTE_OPERATIONAL_ERROR),
            ]
        strobe: Any = Signal(StrobeLayout(config))
        m.d.sync += [strobe.valid.eq(fails), strobe.queue_pair.eq(queue_pair)]
        m.d.comb += self.failed.eq(strobe)
        return m
