"""What each queue pair still has to answer, and what is done about it."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .answer_layouts import HeadLayout
from .answer_step import Step, StepLayout, TextLayout, in_flight_limit
from .config import RoceConfig
from .job_ring import RingRowLayout
from .layouts import EventKind

__all__ = ["AnswerRows"]

#: Syndrome of a NAK that asks for a PSN again (9.7.5.2.8).
_SEQUENCE_NAK = 0x60


class _RowLayout(data.StructLayout):
    """State of a queue pair.

    Fields
    ------
    head, tail : log2(resources) + 1 bits
        Jobs that ended and that came, modulo twice the ring.
    in_flight : enough bits for in_flight_limit(config)
        Packets of READ responses that were issued and not yet sent.
    waits : 1 bit
        The job at the head is an atomic operation that waits for those.
    is_atomic : 1 bit
        The job at the head is an atomic operation that was started.
    in_middle : 1 bit
        The job at the head is a READ of which some has been issued.
    is_queued : 1 bit
        In the ring of jobs, or fetched from it.
    is_stale : 1 bit
        What is queued or was started has been forgotten since.
    is_prompt : 1 bit
        In the ring of answers without data, or just taken from it.
    slot : EventKind
        ACK, a NAK, or NOTHING.
    notify : 1 bit
        Send a CNP.
    """

    def __init__(self, config: RoceConfig):
        counter = config.bits("resources") + 1
        super().__init__(
            {
                "head": counter,
                "tail": counter,
                "in_flight": range(in_flight_limit(config) + 1),
                "waits": 1,
                "is_atomic": 1,
                "in_middle": 1,
                "is_queued": 1,
                "is_stale": 1,
                "is_prompt": 1,
                "slot": EventKind,
                "notify": 1,
            }
        )


class AnswerRows(wiring.Component):
    """Make one step a cycle, each of which sees what all before it left behind.

    After each step, whatever it was, a queue pair that has something to do and is in no ring is
    pushed into one. So at any time, of a queue pair:

    * a job at the head is queued, or waits for its packets (``waits``: then some are in flight,
      and the SENT that leaves none ends the wait), or was started (``is_atomic``: ATOMIC_DONE
      ends it);
    * a CNP is in the ring of prompt answers, and so is what is in the slot, unless there is a job
      or a packet in flight. Their ends are steps of this queue pair, too, which push it.

    No wake-up can be lost, since nobody else decides that a queue pair has nothing to do: a ring's
    entry that finds nothing to do (its work was forgotten, or has to wait again) only clears its
    bit. In each ring a queue pair is once at most, for it is pushed only when its bit is 0, which
    that sets, and which only the step of the entry that left the ring clears.

    The row is read while the step comes, and is in registers a cycle later, with what the last two
    steps wrote, if they were of the same queue pair. Latency is 1 cycle from ``step`` to what it
    does, and 3 to ``text``. Throughput is 1 step per cycle; with narrow beats every third one,
    when a row has been written before it is read again.

    Specification: IBTA Architecture Specification volume 1, 9.7.5 (acknowledgements).

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    valid : In(1)
        Whether there is a step.
    step : In(StepLayout(config))
    is_read, is_last : In(1)
        A cycle after SERVE: whether the job is a READ; whether its next packet is its last one.
    serves, makes_prompt : Out(1)
        Whether the step a cycle ago was SERVE or PROMPT.
    issues, is_first : Out(1)
        A cycle after SERVE: whether a packet of the READ is issued; whether it is its first one.
    push_job, push_prompt, push_atomic : Out(1)
        Push ``pushed`` into a ring; a cycle after the step.
    pushed : Out(RingRowLayout(config))
        Queue pair, and the row of its job at the head; of an atomic operation always that of the
        one that is started.
    head : Out(HeadLayout(config))
        2 cycles after the step, registered. While an atomic operation that was forgotten has not
        been done, the rows are not told to be free: it may not have been fetched yet.
    answers, notifies : Out(1)
        2 cycles after PROMPT: an answer leaves; it is a CNP. Registered.
    text : Out(TextLayout())
        A cycle after ``answers``, and then kept: from the memory's registers.
    answered : Out(config.bits("queue_pairs"))
        With ``answers``: queue pair, registered.
    """

    valid: Signal
    step: Any
    is_read: Signal
    is_last: Signal
    serves: Signal
    makes_prompt: Signal
    issues: Signal
    is_first: Signal
    push_job: Signal
    push_prompt: Signal
    push_atomic: Signal
    pushed: Any
    head: Any
    answers: Signal
    notifies: Signal
    text: Any
    answered: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        flags = ("serves", "makes_prompt", "issues", "is_first", "answers", "notifies")
        super().__init__(
            {
                "valid": In(1),
                "step": In(StepLayout(config)),
                "is_read": In(1),
                "is_last": In(1),
                **{name: Out(1) for name in flags},
                "push_job": Out(1),
                "push_prompt": Out(1),
                "push_atomic": Out(1),
                "pushed": Out(RingRowLayout(config)),
                "head": Out(HeadLayout(config)),
                "text": Out(TextLayout()),
                "answered": Out(config.bits("queue_pairs")),
            }
        )
        layout = _RowLayout(config)
        # State; the proof looks at it. The step a cycle ago, with the row as the memory gave it, as
        # it was before the step and as it is after it; and what is being written, a cycle later.
        self.made = Signal()
        self.made_step: Any = Signal(StepLayout(config), reset_less=True)
        self.stored: Any = Signal(layout)
        self.before: Any = Signal(layout)
        self.after: Any = Signal(layout)
        self.written = Signal()
        self.written_pair = Signal(config.bits("queue_pairs"), reset_less=True)
        self.written_row: Any = Signal(layout, reset_less=True)

    def elaborate(self, platform):
        m = Module()
        is_step = {step: Signal(name=f"is_{step.name.lower()}") for step in Step}
        m.d.sync += [self.made.eq(self.valid), self.made_step.eq(self.step)]
        # One bit for each kind of step, made a cycle early.
        for step, signal in is_step.items():
            m.d.sync += signal.eq(self.valid & (self.step.step == step))
        m.d.comb += [
            self.serves.eq(is_step[Step.SERVE]),
            self.makes_prompt.eq(is_step[Step.PROMPT]),
        ]
        self._read_and_write(m)
        self._take(m, is_step)
        self._keep_text(m, is_step)
        return m

    def _read_and_write(self, m: Module) -> None:
        """Read the row of the step that comes, and write that of the last one."""
        made_pair = self.made_step.event.queue_pair
        pair = self.step.event.queue_pair
        m.submodules.rows = rows = SimpleDualPortRam(
            shape=unsigned(Shape.cast(self.after.shape()).width),
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=False,
            block=not self.config.is_narrow,
        )
        written, written_pair, written_row = self.written, self.written_pair, self.written_row
        m.d.sync += [
            written.eq(self.made),
            written_pair.eq(made_pair),
            written_row.eq(self.after),
        ]
        # The step before is written when the row is in registers, the one before that, while it is
        # read: the memory gives neither.
        from_last = Signal()
        from_before = Signal()
        row_before: Any = Signal(self.after.shape(), reset_less=True)
        m.d.sync += [
            from_last.eq(self.made & (made_pair == pair)),
            from_before.eq(written & (written_pair == pair)),
            row_before.eq(written_row),
        ]
        m.d.comb += [
            rows.read_en.eq(self.valid),
            rows.read_address.eq(pair),
            rows.write_lanes.eq(written),
            rows.write_address.eq(written_pair),
            rows.write_data.eq(Value.cast(written_row)),
            Value.cast(self.stored).eq(rows.read_data),
            self.before.eq(self.stored),
            self.answered.eq(written_pair),
            self.head.queue_pair.eq(written_pair),
            self.head.head.eq(written_row.head),
        ]
        if self.config.is_narrow:
            return
        with m.If(from_last):
            m.d.comb += self.before.eq(written_row)
        with m.Elif(from_before):
            m.d.comb += self.before.eq(row_before)

    def _take(self, m: Module, is_step: dict[Step, Signal]) -> None:
        """From the row before the step, make the row after it, and whatever follows from it."""
        row, event = self.before, self.made_step.event
        is_event, is_serve = is_step[Step.EVENT], is_step[Step.SERVE]
        is_done = is_step[Step.ATOMIC_DONE]
        is_job = Signal()
        is_reset = Signal()
        forgets = Signal()
        is_quiet = Signal()  # nothing is in flight
        ends = Signal()  # the job at the head
        m.d.comb += [
            is_job.eq(is_event & (event.kind == EventKind.JOB)),
            is_reset.eq(is_event & (event.kind == EventKind.RESET)),
            forgets.eq(is_reset | is_step[Step.DROP]),
            is_quiet.eq(row.in_flight == 0),
            self.issues.eq(is_serve & ~row.is_stale & self.is_read),
            self.is_first.eq(~row.in_middle),
            self.push_atomic.eq(is_serve & ~row.is_stale & ~self.is_read & is_quiet),
            ends.eq((self.issues & self.is_last) | (is_done & ~row.is_stale)),
        ]

        # Jobs.
        after: Any = Signal(_RowLayout(self.config), name="row_after")  # but for the rings
        will_be_quiet = Signal()
        has_jobs = Signal()
        m.d.comb += [
            after.eq(row),
            after.head.eq(row.head + ends),
            after.tail.eq(row.tail + is_job),
            has_jobs.eq(is_job | (after.head != row.tail)),
            will_be_quiet.eq(~self.issues & is_quiet),
        ]
        with m.If(is_step[Step.SENT]):
            m.d.comb += [
                after.in_flight.eq(row.in_flight - 1),
                will_be_quiet.eq(row.in_flight == 1),
                after.waits.eq(row.waits & ~will_be_quiet),
            ]
        with m.If(is_serve):
            m.d.comb += [
                after.in_flight.eq(row.in_flight + self.issues),
                after.is_queued.eq(0),
                after.is_stale.eq(0),
                after.is_atomic.eq(self.push_atomic),
                after.waits.eq(~row.is_stale & ~self.is_read & ~is_quiet),
                after.in_middle.eq(self.issues & ~self.is_last),
            ]
        with m.If(is_done):
            m.d.comb += [after.is_atomic.eq(0), after.is_stale.eq(0)]
        with m.If(forgets):
            m.d.comb += [
                after.head.eq(row.tail),
                has_jobs.eq(0),
                after.waits.eq(0),
                after.in_middle.eq(0),
                after.is_stale.eq(row.is_queued | row.is_atomic),
            ]

        # Answers without data.
        is_fatal = Signal()
        is_idle = Signal()  # what is in the slot may leave
        answers = Signal()
        m.d.comb += [
            is_fatal.eq(row.slot == EventKind.FATAL_NAK),
            is_idle.eq(~has_jobs & will_be_quiet & ~after.is_atomic),
            answers.eq(
                is_step[Step.PROMPT] & ~row.notify & (row.slot != EventKind.NOTHING) & is_idle
            ),
        ]
        with m.If(is_event):
            m.d.comb += after.notify.eq((row.notify & ~is_reset) | event.notify)
        with m.If(is_event & ~is_fatal), m.Switch(event.kind):
            # A NAK acknowledges all before its PSN, too. One that asks for a PSN again stays when
            # an ACK comes, and asks for the next one; the other one stays until its packet comes.
            with m.Case(EventKind.ACK):
                keeps = (row.slot == EventKind.SEQUENCE_NAK) | (
                    (row.slot == EventKind.RNR_NAK) & event.again
                )
                with m.If(~keeps):
                    m.d.comb += after.slot.eq(EventKind.ACK)
            with m.Case(EventKind.SEQUENCE_NAK, EventKind.RNR_NAK, EventKind.FATAL_NAK):
                m.d.comb += after.slot.eq(event.kind)
            with m.Case(EventKind.JOB), m.If(~event.again):
                m.d.comb += after.slot.eq(EventKind.NOTHING)
        with m.If(is_step[Step.PROMPT]):
            m.d.comb += [after.notify.eq(0), after.is_prompt.eq(0)]
        with m.If(answers | forgets):
            m.d.comb += after.slot.eq(EventKind.NOTHING)

        # Who has something to do and is in no ring is pushed.
        can_push = Signal()
        m.d.comb += [
            can_push.eq(self.made & ~is_step[Step.CLEAR]),
            self.push_job.eq(
                can_push & has_jobs & ~after.is_queued & ~after.is_atomic & ~after.waits
            ),
            self.push_prompt.eq(
                can_push
                & ~after.is_prompt
                & (after.notify | ((after.slot != EventKind.NOTHING) & is_idle))
            ),
            self.pushed.queue_pair.eq(event.queue_pair),
            self.pushed.slot.eq(after.head),
        ]
        with m.If(~is_step[Step.CLEAR]):
            m.d.comb += [
                self.after.eq(after),
                self.after.is_queued.eq(after.is_queued | self.push_job),
                self.after.is_prompt.eq(after.is_prompt | self.push_prompt),
            ]

        head_valid = Signal()
        m.d.comb += self.head.valid.eq(head_valid)
        m.d.sync += [
            head_valid.eq(ends | is_done | (forgets & ~row.is_atomic)),
            self.answers.eq(is_step[Step.PROMPT] & (row.notify | answers)),
            self.notifies.eq(row.notify),
        ]

    def _keep_text(self, m: Module, is_step: dict[Step, Signal]) -> None:
        """Write what is in a slot, or read it for its answer, 2 cycles after the step."""
        row, event = self.before, self.made_step.event
        m.submodules.texts = texts = SimpleDualPortRam(
            shape=TextLayout(),
            depth=self.config.queue_pairs,
            lane_count=1,
            latency=1,
            bypass=False,
            block=not self.config.is_narrow,
        )
        is_answer = Signal()
        asks_next = Signal()
        keeps = Signal()
        writes = Signal()
        text: Any = Signal(TextLayout(), reset_less=True)
        m.d.comb += [
            is_answer.eq(
                event.kind.matches(
                    EventKind.ACK, EventKind.SEQUENCE_NAK, EventKind.RNR_NAK, EventKind.FATAL_NAK
                )
            ),
            asks_next.eq((event.kind == EventKind.ACK) & (row.slot == EventKind.SEQUENCE_NAK)),
            keeps.eq(
                (row.slot == EventKind.FATAL_NAK)
                | ((row.slot == EventKind.RNR_NAK) & (event.kind == EventKind.ACK) & event.again)
            ),
        ]
        m.d.sync += [
            writes.eq(is_step[Step.EVENT] & is_answer & ~keeps),
            text.psn.eq(event.psn + asks_next),
            text.msn.eq(event.msn),
            text.syndrome.eq(Mux(asks_next, _SEQUENCE_NAK, event.syndrome)),
        ]
        # One step at a time is here, which either writes or reads.
        m.d.comb += [
            texts.write_lanes.eq(writes),
            texts.write_address.eq(self.answered),
            texts.write_data.eq(text),
            texts.read_en.eq(self.answers),
            texts.read_address.eq(self.answered),
            self.text.eq(texts.read_data),
        ]
