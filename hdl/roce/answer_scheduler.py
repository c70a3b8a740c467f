"""Which queue pair answers next, and with what."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .answer_layouts import (
    AnswerKind,
    AnswerLayout,
    AtomicLayout,
    HeadLayout,
    JobWriteLayout,
    ReadSegmentLayout,
)
from .answer_rows import AnswerRows
from .answer_step import Step, in_flight_limit
from .config import RoceConfig
from .job_ring import JobRing, RingRowLayout
from .layouts import EventLayout, StrobeLayout
from .ready_ring import ReadyRing

__all__ = ["AnswerScheduler"]

#: Atomic operations that may be on their way between ``atomics`` and ``atomic_done``.
_ATOMICS = 4
#: Events that go before an answer without data. With one every 2 cycles, and packets of 256 bytes
#: at 400 Gb/s (4.7 cycles, 2 steps each), 0.07 of the cycles are left: one for each 7 events.
_EVENTS_BEFORE_PROMPT = 7
#: Syndrome of a READ response: an acknowledgement that states no credits (9.7.5.2.3).
_NO_CREDITS = 0x1F


class AnswerScheduler(wiring.Component):
    """Decide which answer leaves next, so that each queue pair's leave in order and none starves.

    Of each queue pair there are a ring of jobs (READs, atomic operations) and a slot with the
    newest acknowledgement or NAK, which says what older ones would. A job starts when all packets
    of the one before have been issued; an atomic operation when they have been sent, too, and
    nothing starts until it is done. What is in the slot leaves when there is no job and no packet
    in flight. A CNP leaves at any time.

    In the slot, the newest wins, but an ACK leaves a sequence NAK there, which then asks for the
    PSN behind the ACK's, and an ACK of what came before leaves an RNR NAK; a fatal NAK stays; and
    a job clears the slot, if no fatal NAK is there, since its own answer says as much, unless it
    was asked before.

    Queue pairs take turns: one in a ring of those with a CNP or a slot that may leave, another one
    of those with a job that may go on, a third one of those with an atomic operation. A turn is
    one answer, one packet of a READ, or one atomic operation; who has more to do goes to the end.
    So a turn comes after ``queue_pairs - 1`` others at most, and nothing that ``reads`` or
    ``atomics`` holds back is in the way of ``prompt``. A ring holds each queue pair once at most
    and has ``queue_pairs`` rows, so it never overflows: see :class:`AnswerRows`, which also says
    why no wake-up is lost.

    All that happens to queue pairs is a step of :class:`AnswerRows`, one a cycle, in this order:

    1. what was sent and had to wait; 2. ``drop``; 3. ``atomic_done``; 4. the next packet of a READ
    or the start of an atomic operation; 5. what has been sent; 6. answers without data, behind
    seven events; 7. events; 8. answers without data.

    Packets of READs begin every 3 cycles at most, and each is sent once: so these take two cycles
    of three at most and the other one is left for events and answers. At 400 Gb/s a packet of 256
    bytes leaves every 4.7 cycles, and events have 1 cycle of 2.

    With narrow beats there is a step every third cycle at most, which is in registers before its
    row is read, and so is what it pushes; ``sent`` waits in a queue and comes behind ``drop``. An
    answer takes eight beats or more, and four steps at most. Events and answers without data have
    every fourth step, whatever READs want.

    Reset takes ``queue_pairs`` steps, in which no event is taken.

    Latency from an event to ``prompt`` is 6 cycles, to ``reads`` 6, to ``atomics`` 8, if nothing
    else is to be done. Throughput is 1 event per cycle, of which every seventh one waits for an
    answer if there are any; 1 packet of a READ per 3 cycles, of one queue pair or several; 1
    answer without data per 4 cycles; 1 atomic operation per 5 cycles.

    With narrow beats latency is 10 cycles to ``prompt``, 10 to ``reads``, 15 to ``atomics``; an
    event, an answer or a packet takes 3 cycles for each of its steps, and packets begin every 7
    cycles at most (the shortest answer has 8 beats).

    Specification: IBTA Architecture Specification volume 1, 9.7.5 (responses, and which may stand
    for others); docs/roce.md.

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    events : In(stream.Signature(EventLayout(config)))
        What packets ask for, in order. ``events.ready`` comes from registers only.
    job : In(JobWriteLayout(config))
        Strobe: row of a job; some time before the event JOB that tells of it, and to a row that
        ``head`` told to be free. Row ``tail`` modulo ``resources``, with a ``tail`` that counts
        the events JOB of the queue pair from reset on. With narrow beats not in two cycles that
        follow each other.
    head : Out(HeadLayout(config))
        Strobe, registered: jobs up to ``head``, modulo ``2 * resources``, have ended, and their
        rows are free. Of a READ that is when its last packet has been issued.
    prompt : Out(stream.Signature(AnswerLayout(config)))
        ACKNOWLEDGE, or CONGESTION_NOTIFICATION, of which only ``queue_pair`` means something;
        registered. ``first``, ``last``, ``payload_bytes`` and ``original`` are 0.
    reads : Out(stream.Signature(ReadSegmentLayout(config)))
        Packets of READ responses, from registers of memories. ``2 * data_bytes - 1`` at most are on
        their way to ``sent``.
    sent : In(StrobeLayout(config))
        Strobe: a packet of ``reads`` is in its place among the answers. One for each of them.
    atomics : Out(stream.Signature(AtomicLayout(config)))
        Atomic operations, registered. 4 at most are on their way to ``atomic_done``.
    atomic_done : In(StrobeLayout(config))
        Strobe: one of them has been answered, or will never be.
    drop : In(StrobeLayout(config))
        Strobe: forget the jobs and the slot of this queue pair. Packets and the atomic operation
        that are on their way still get their strobe.
    """

    events: stream.Interface
    job: Any
    head: Any
    prompt: stream.Interface
    reads: stream.Interface
    sent: Any
    atomics: stream.Interface
    atomic_done: Any
    drop: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        strobe = StrobeLayout(config)
        super().__init__(
            {
                "events": In(stream.Signature(EventLayout(config))),
                "job": In(JobWriteLayout(config)),
                "head": Out(HeadLayout(config)),
                "prompt": Out(stream.Signature(AnswerLayout(config))),
                "reads": Out(stream.Signature(ReadSegmentLayout(config))),
                "sent": In(strobe),
                "atomics": Out(stream.Signature(AtomicLayout(config))),
                "atomic_done": In(strobe),
                "drop": In(strobe),
            }
        )
        pair = unsigned(config.bits("queue_pairs"))
        limit = in_flight_limit(config)
        self.rows = AnswerRows(config=config)
        self.job_ring = JobRing(config=config)
        members = config.queue_pairs
        self.ready_prompts = ReadyRing(shape=pair, members=members)
        self.ready_jobs = ReadyRing(shape=RingRowLayout(config), members=members)
        self.ready_atomics = ReadyRing(shape=RingRowLayout(config), members=members)
        # Three drops come until the first one is on the queue's output. There one waits only while
        # the step is SENT, in which cycle one more comes. No packet is issued meanwhile, so there
        # are no more such steps than packets in flight when the wait began.
        self.drops = Queue(shape=pair, depth=limit + 3, counted=True, shallow=limit <= 32)
        # With narrow beats what was sent waits, too: no more than is in flight.
        self.sents = (
            Queue(shape=pair, depth=limit + 1, counted=True, shallow=True)
            if config.is_narrow
            else None
        )
        # Each atomic operation that was started has one place.
        self.dones = Queue(shape=pair, depth=_ATOMICS, counted=True, shallow=True)

        # Row at work; whether a job was fetched and waits for the step SERVE.
        self.row: Any = Signal(RingRowLayout(config), reset_less=True)
        self.fetched = Signal()
        self.may_issue = Signal()
        self.may_start = Signal()
        # A step was chosen one cycle ago, and two.
        self.recent = Signal(2)

    def elaborate(self, platform):
        m = Module()
        for name in ("rows", "job_ring", "drops", "dones"):
            setattr(m.submodules, name, getattr(self, name))
        m.submodules.ready_prompts = self.ready_prompts
        m.submodules.ready_jobs = self.ready_jobs
        m.submodules.ready_atomics = self.ready_atomics
        rows = self.rows
        when = m.d.sync if self.config.is_narrow else m.d.comb
        when += [
            self.ready_jobs.push.eq(rows.push_job),
            self.ready_jobs.pushed.eq(rows.pushed),
            self.ready_atomics.push.eq(rows.push_atomic),
            self.ready_atomics.pushed.eq(rows.pushed),
            self.ready_prompts.push.eq(rows.push_prompt),
            self.ready_prompts.pushed.eq(rows.pushed.queue_pair),
        ]
        m.d.comb += self.head.eq(rows.head)
        can_prompt = self._send_prompts(m)
        self._serve_jobs(m)
        self._choose_step(m, can_prompt)
        return m

    def _send_prompts(self, m: Module) -> Value:
        """Send what PROMPT found; return whether there may be another such step."""
        rows, prompt = self.rows, self.prompt
        answer: Any = prompt.p
        notifies = Signal(reset_less=True)
        pair = Signal(self.config.bits("queue_pairs"), reset_less=True)
        m.d.comb += [
            answer.kind.eq(
                Mux(notifies, AnswerKind.CONGESTION_NOTIFICATION, AnswerKind.ACKNOWLEDGE)
            ),
            answer.queue_pair.eq(pair),
            *(answer[name].eq(rows.text[name]) for name in ("psn", "msn", "syndrome")),
        ]
        with m.If(prompt.ready):
            m.d.sync += prompt.valid.eq(0)
        with m.If(rows.answers):
            m.d.sync += [prompt.valid.eq(1), notifies.eq(rows.notifies), pair.eq(rows.answered)]
        return self.ready_prompts.o.valid & ~rows.makes_prompt & ~rows.answers & ~prompt.valid

    def _serve_jobs(self, m: Module) -> None:
        """Fetch jobs whose turn it is, and give them on."""
        rows, ring, reads, atomics = self.rows, self.job_ring, self.reads, self.atomics
        jobs: Any = self.ready_jobs.o
        starts: Any = self.ready_atomics.o
        row = self.row
        fetches = Signal()
        chosen: Any = Signal(RingRowLayout(self.config))
        is_asking = Signal()  # the ring
        fetched_atomic = Signal()  # an atomic operation, which is in `job` now
        is_fetching = Signal()  # one that is not there yet
        serves_next = Signal()
        starts_next = Signal()
        is_first = Signal(reset_less=True)

        # One row is at work from its fetch to the step after SERVE, and then until `reads` has
        # taken it, whose payload is the memory's read register. An atomic operation is copied.
        is_free = Signal()
        m.d.comb += [
            is_free.eq(
                ~self.fetched
                & ~fetched_atomic
                & ~is_asking
                & ~is_fetching
                & ~serves_next
                & ~rows.serves
                & ~ring.busy
                & (~reads.valid | (C(0) if self.config.is_narrow else reads.ready))
            ),
            starts_next.eq(starts.valid & self.may_start & ~atomics.valid),
            starts.ready.eq(is_free & starts_next),
            jobs.ready.eq(is_free & self.may_issue & ~starts_next),
            fetches.eq(starts.ready | (jobs.valid & jobs.ready)),
            chosen.eq(Mux(starts_next, starts.p, jobs.p)),
            ring.advance.eq(rows.issues),
            ring.write.eq(self.job),
            rows.is_read.eq(ring.is_read),
            rows.is_last.eq(ring.is_last),
        ]
        with m.If(fetches):
            m.d.sync += row.eq(chosen)
        if self.config.is_narrow:
            # The ring's memories are asked from registers, and answer through one.
            is_atomic = Signal()
            m.d.comb += [
                ring.fetch.eq(is_asking),
                ring.row.eq(row),
                serves_next.eq(rows.valid & (rows.step.step == Step.SERVE)),
            ]
            m.d.sync += [
                is_asking.eq(fetches),
                is_atomic.eq(starts_next),
                is_fetching.eq(is_asking & is_atomic),
                fetched_atomic.eq(is_fetching),
            ]
            with m.If(is_asking & ~is_atomic):
                m.d.sync += self.fetched.eq(1)
        else:
            m.d.comb += [ring.fetch.eq(fetches), ring.row.eq(Mux(fetches, chosen, row))]
            m.d.sync += fetched_atomic.eq(starts.ready)
            with m.If(fetches):
                m.d.sync += self.fetched.eq(~starts_next)

        with m.If(reads.ready):
            m.d.sync += reads.valid.eq(0)
        with m.If(rows.serves):
            m.d.sync += [reads.valid.eq(rows.issues), is_first.eq(rows.is_first)]
        segment: Any = reads.p
        job: Any = ring.job
        m.d.comb += [
            segment.place.eq(job.place),
            segment.again.eq(job.again),
            segment.answer.kind.eq(AnswerKind.READ_RESPONSE),
            segment.answer.queue_pair.eq(row.queue_pair),
            segment.answer.psn.eq(job.psn),
            segment.answer.msn.eq(job.msn),
            segment.answer.syndrome.eq(_NO_CREDITS),
            segment.answer.first.eq(is_first),
            segment.answer.last.eq(ring.is_last),
            segment.answer.payload_bytes.eq(ring.payload_bytes),
        ]

        operation: Any = Signal(AtomicLayout(self.config), reset_less=True)
        m.d.comb += atomics.payload.eq(operation)
        with m.If(fetched_atomic):
            m.d.sync += [
                atomics.valid.eq(1),
                operation.queue_pair.eq(row.queue_pair),
                operation.job.eq(job),
            ]
        with m.Elif(atomics.ready):
            m.d.sync += atomics.valid.eq(0)

    def _choose_step(self, m: Module, can_prompt: Value) -> None:
        """Choose what :class:`AnswerRows` does next."""
        rows, drop, done, prompts = self.rows, self.drops.o, self.dones.o, self.ready_prompts.o
        is_narrow = self.config.is_narrow
        valid = Signal()
        step: Any = Signal(rows.step.shape())
        pair = Signal(self.config.bits("queue_pairs"))
        for strobe, queue in ((self.drop, self.drops), (self.atomic_done, self.dones)):
            m.d.comb += [queue.i.valid.eq(strobe.valid), queue.i.payload.eq(strobe.queue_pair)]

        came: Any = Signal(self.sent.shape())
        late: Any = Signal(self.sent.shape())
        takes_came = Signal()
        may_step = Signal()
        if self.sents is not None:
            m.submodules.sents = sents = self.sents
            m.d.comb += [
                sents.i.valid.eq(self.sent.valid),
                sents.i.payload.eq(self.sent.queue_pair),
                came.valid.eq(sents.o.valid),
                came.queue_pair.eq(sents.o.payload),
                sents.o.ready.eq(takes_came),
                may_step.eq(~self.recent.any()),
            ]
            m.d.sync += [self.recent.eq(Cat(valid, self.recent)), rows.valid.eq(valid)]
            m.d.sync += rows.step.eq(step)
        else:
            # What has been sent is a step in the next cycle, or waits in `late`, which is the first
            # step in the cycle thereafter: so a strobe in each cycle is never lost.
            m.d.sync += [came.eq(self.sent), late.eq(came), late.valid.eq(came.valid & ~takes_came)]
            m.d.comb += [may_step.eq(1), rows.valid.eq(valid), rows.step.eq(step)]

        event: Any = Signal(EventLayout(self.config), reset_less=True)
        has_event = Signal()
        takes_event = Signal()
        is_clearing = Signal(init=1)
        clear_pair = Signal.like(pair)
        m.d.comb += self.events.ready.eq(
            ~is_clearing & (~has_event | (C(0) if is_narrow else takes_event))
        )
        with m.If(takes_event):
            m.d.sync += has_event.eq(0)
        with m.If(self.events.ready):
            m.d.sync += [has_event.eq(self.events.valid), event.eq(self.events.payload)]

        events_before = Signal(range(_EVENTS_BEFORE_PROMPT + 1))
        is_tired = events_before == _EVENTS_BEFORE_PROMPT
        issued = Signal(range(in_flight_limit(self.config) + 1))
        started = Signal(range(_ATOMICS + 1))
        is_sent = Signal()
        takes_turn = Signal()  # an event, or an answer without data
        m.d.comb += [
            valid.eq(1),
            step.event.eq(event),
            step.event.queue_pair.eq(pair),
            self.may_issue.eq(issued != in_flight_limit(self.config)),
            self.may_start.eq(started != _ATOMICS),
        ]
        is_urgent = self._hurry(m, valid, takes_turn, has_event | can_prompt)
        with m.If(~may_step):
            m.d.comb += valid.eq(0)
        with m.Elif(is_clearing):
            m.d.comb += [step.step.eq(Step.CLEAR), pair.eq(clear_pair)]
        with m.Elif(late.valid):
            m.d.comb += [step.step.eq(Step.SENT), pair.eq(late.queue_pair), is_sent.eq(1)]
        with m.Elif(drop.valid):
            m.d.comb += [step.step.eq(Step.DROP), pair.eq(drop.payload), drop.ready.eq(1)]
        with m.Elif(done.valid):
            m.d.comb += [step.step.eq(Step.ATOMIC_DONE), pair.eq(done.payload), done.ready.eq(1)]
        with m.Elif(self.fetched & ~is_urgent):
            m.d.comb += [step.step.eq(Step.SERVE), pair.eq(self.row.queue_pair)]
            m.d.sync += self.fetched.eq(0)
        with m.Elif(came.valid & ~is_urgent):
            m.d.comb += [step.step.eq(Step.SENT), pair.eq(came.queue_pair), is_sent.eq(1)]
            m.d.comb += takes_came.eq(1)
        with m.Elif(can_prompt & (is_tired | ~has_event)):
            m.d.comb += [step.step.eq(Step.PROMPT), pair.eq(prompts.payload), prompts.ready.eq(1)]
            m.d.comb += takes_turn.eq(1)
            m.d.sync += events_before.eq(0)
        with m.Elif(has_event):
            m.d.comb += [step.step.eq(Step.EVENT), pair.eq(event.queue_pair), takes_event.eq(1)]
            m.d.comb += takes_turn.eq(1)
            with m.If(~is_tired):
                m.d.sync += events_before.eq(events_before + 1)
        with m.Else():
            m.d.comb += valid.eq(0)

        with m.If(is_clearing & may_step):
            m.d.sync += [clear_pair.eq(clear_pair + 1), is_clearing.eq(~clear_pair.all())]
        m.d.sync += [
            issued.eq(issued + rows.issues - is_sent),
            started.eq(started + self.ready_atomics.o.ready - done.ready),
        ]

    def _hurry(self, m: Module, steps: Value, takes_turn: Value, waits: Value) -> Value:
        """Whether events and answers without data have waited for three steps of others."""
        if not self.config.is_narrow:
            return C(0)
        waited = Signal(2)
        with m.If(takes_turn | ~waits):
            m.d.sync += waited.eq(0)
        with m.Elif(steps & ~waited.all()):
            m.d.sync += waited.eq(waited + 1)
        return waited.all() & waits
