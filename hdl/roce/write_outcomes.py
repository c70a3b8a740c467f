"""What becomes of writes: events, interrupts and failures, when their responses have come."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..dma.memory_port import MemoryResponseLayout
from ..memory import SimpleDualPortRam
from ..stream import Queue
from .completion_queues import VECTOR_BITS
from .config import RoceConfig
from .layouts import CompletionStatus, EventKind, EventLayout, FailureLayout

__all__ = ["FailedLayout", "WriteOutcomes", "WriterRowLayout"]

#: Syndrome of a NAK that says remote operational error (9.7.5.2.7): 011 and code 3.
REMOTE_OPERATIONAL_ERROR = 0x63
#: Queue pairs that may have failed and are not yet known to have: as many as there are queue pairs
#: or, if these are more, the rows that wait for responses (65) and the actions on their way to
#: them. Whoever takes failures before anything that makes new actions never lets it fill up.
_MOST_FAILURES = 128


class FailedLayout(data.StructLayout):
    """Strobe: ``queue_pair`` has failed."""

    def __init__(self, config: RoceConfig):
        super().__init__({"valid": 1, "queue_pair": config.bits("queue_pairs")})


class WriterRowLayout(data.StructLayout):
    """What was begun.

    Fields
    ------
    has_write : 1 bit
        There will be a response.
    is_flush, is_mark : 1 bit each
        ``flushed`` or ``marked`` is to be told.
    is_refused : 1 bit
        The completion queue did not take the entry.
    interrupt, vector : 1, 11 bits
        To raise, when the response is here.
    last, event, queue_pair :
        Of the order.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "has_write": 1,
                "is_flush": 1,
                "is_mark": 1,
                "is_refused": 1,
                "interrupt": 1,
                "vector": VECTOR_BITS,
                "last": 1,
                "event": EventLayout(config),
                "queue_pair": config.bits("queue_pairs"),
            }
        )


class WriteOutcomes(wiring.Component):
    """Wait for the responses of what was begun, in order, and tell what follows.

    A queue pair fails with the first write of its that ends with anything but OK, or with the first
    entry that its completion queue did not take, and stays failed until its event RESET. That it
    fails is told once, on ``failed`` and on ``failures``. From then on, the failing action
    included, those of its events that are answers (ACK and all NAKs) are FATAL_NAK with syndrome
    0x63: any other answer to a later packet would say that this one was executed.

    Events of kind NOTHING without ``notify`` end here. An interrupt is raised whatever the response
    says, since nobody would arm its queue again.

    Latency is 1 cycle from a response to ``interrupts``, 1 to ``events``, 3 more to ``failures``.
    Throughput is 1 row per cycle, with narrow beats 1 in 2 cycles.

    Specification: IBTA Architecture Specification volume 1, 9.7.5.2.7 (remote operational error),
    written without its text; streams follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    rows : In(stream.Signature(WriterRowLayout(config)))
        What was begun. ``rows.ready`` depends combinationally on both ``valid``, and, if beats are
        not narrow, on ``ready`` of ``events`` and ``interrupts``.
    responses : In(stream.Signature(MemoryResponseLayout()))
        One for each row with a write. ``responses.ready`` depends combinationally on ``rows``,
        and, if beats are not narrow, on ``ready`` of ``events`` and ``interrupts``.
    events : Out(stream.Signature(EventLayout(config)))
        From registers and a RAM through a multiplexer.
    failed : Out(FailedLayout(config))
        Registered.
    failures : Out(stream.Signature(FailureLayout(config)))
        Registered. If as many wait as the queue holds, rows wait.
    interrupts : Out(stream.Signature(11))
        Registered.
    flushed, marked : Out(1)
        Strobes, combinational: a row with ``is_flush``, ``is_mark`` is done.
    """

    rows: stream.Interface
    responses: stream.Interface
    events: stream.Interface
    failed: Any
    failures: stream.Interface
    interrupts: stream.Interface
    flushed: Signal
    marked: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "rows": In(stream.Signature(WriterRowLayout(config))),
                "responses": In(stream.Signature(MemoryResponseLayout())),
                "events": Out(stream.Signature(EventLayout(config))),
                "failed": Out(FailedLayout(config)),
                "failures": Out(stream.Signature(FailureLayout(config))),
                "interrupts": Out(stream.Signature(VECTOR_BITS)),
                "flushed": Out(1),
                "marked": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        queue_pair_bits = config.bits("queue_pairs")
        m.submodules.failures = failures = Queue(
            shape=data.StructLayout({"queue_pair": queue_pair_bits, "is_refused": 1}),
            depth=min(config.queue_pairs, _MOST_FAILURES),
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
        m.d.comb += [
            has_room.eq(
                ~(told | self.interrupts.valid)
                if config.is_narrow
                else (~told | finishes) & (~self.interrupts.valid | self.interrupts.ready)
            ),
            taken.eq(self.rows.valid & (~row.has_write | self.responses.valid) & has_room),
            self.rows.ready.eq(taken),
            self.responses.ready.eq(self.rows.valid & row.has_write & has_room),
            self.flushed.eq(taken & row.is_flush),
            self.marked.eq(taken & row.is_mark),
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
                is_bad.eq(row.is_refused | (row.has_write & self.responses.p.status.any())),
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
        strobe: Any = Signal(FailedLayout(config))
        m.d.sync += [strobe.valid.eq(fails), strobe.queue_pair.eq(queue_pair)]
        m.d.comb += self.failed.eq(strobe)
        return m
