"""Proofs of what hdl.roce.AnswerScheduler relies on: no queue pair is lost, or queued twice."""

from dataclasses import replace
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.answer_rows import AnswerRows
from hdl.roce.answer_step import Step, StepLayout, in_flight_limit
from hdl.roce.config import RoceConfig
from hdl.roce.layouts import EventKind
from hdl.roce.ready_ring import ReadyRing
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]

#: Wide beats; with narrow ones steps come every third cycle.
_CONFIG = replace(least(), data_bytes=32)
_NARROW = replace(_CONFIG, data_bytes=8)


class _OneQueuePair(wiring.Component):
    """Any queue pair of AnswerRows, whose neighbours keep to what they promise.

    The memory is taken to be one: it gives what was last written, unless that is in this cycle.
    """

    pair: Signal
    valid: Signal
    step: Any
    is_read: Signal
    is_last: Signal

    def __init__(self, config: RoceConfig = _CONFIG):
        self.config = config
        super().__init__(
            {
                "pair": In(_CONFIG.bits("queue_pairs")),
                "valid": In(1),
                "step": In(StepLayout(_CONFIG)),
                "is_read": In(1),
                "is_last": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.rows = rows = AnswerRows(config=config)
        event = self.step.event
        old_pair = Signal.like(self.pair)
        begun = Signal()
        comes = Signal()  # a step of the queue pair
        made = Signal()  # and a cycle later
        written = Signal()
        recent = Signal(2)  # with narrow beats: there were steps one cycle and two cycles ago
        m.d.sync += [old_pair.eq(self.pair), begun.eq(1)]
        if config.is_narrow:
            m.d.sync += recent.eq(Cat(self.valid, recent))
        m.d.comb += [
            rows.valid.eq(self.valid),
            rows.step.eq(self.step),
            rows.is_read.eq(self.is_read),
            rows.is_last.eq(self.is_last),
            comes.eq(self.valid & (event.queue_pair == self.pair)),
            made.eq(rows.made & (rows.made_step.event.queue_pair == self.pair)),
            written.eq(rows.written & (rows.written_pair == self.pair)),
        ]
        makes: dict[Step, Value] = {step: made & (rows.made_step.step == step) for step in Step}
        brings: dict[Step, Value] = {step: comes & (self.step.step == step) for step in Step}

        # Memory.
        kept: Any = Signal(rows.after.shape())
        read: Any = Signal(rows.after.shape())
        is_read_well = Signal()
        with m.If(written):
            m.d.sync += kept.eq(rows.written_row)
        m.d.sync += [read.eq(kept), is_read_well.eq(comes & ~written)]

        # The newest row, and what the neighbours know of it.
        latest: Any = Signal(rows.after.shape())
        now: Any = Signal(rows.after.shape())
        m.d.comb += now.eq(Mux(made, rows.after, latest))
        m.d.sync += latest.eq(now)
        is_clear = Signal()
        job_waits = Signal()
        prompt_waits = Signal()
        is_atomic = Signal()
        in_flight = Signal(range(in_flight_limit(config) + 1))
        issues = Signal()
        jobs = Signal(_CONFIG.bits("resources") + 1)
        m.d.comb += [issues.eq(made & rows.issues), jobs.eq(now.tail - now.head)]
        with m.If(makes[Step.CLEAR]):
            m.d.sync += is_clear.eq(1)
        pushes_job = made & rows.push_job
        pushes_prompt = made & rows.push_prompt
        pushes_atomic = made & rows.push_atomic
        m.d.sync += [
            job_waits.eq(pushes_job | (job_waits & ~makes[Step.SERVE])),
            prompt_waits.eq(pushes_prompt | (prompt_waits & ~makes[Step.PROMPT])),
            is_atomic.eq(pushes_atomic | (is_atomic & ~brings[Step.ATOMIC_DONE])),
            in_flight.eq(in_flight + issues - brings[Step.SENT]),
        ]

        has_jobs = latest.head != latest.tail
        is_idle = ~has_jobs & (latest.in_flight == 0) & ~latest.is_atomic
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~begun | (old_pair == self.pair), "another queue pair"),
                Assume(~(self.valid & recent.any()), "a step too soon"),
                Assume(~is_read_well | (rows.stored == read), "no memory"),
                Assume(
                    ~comes | (brings[Step.CLEAR] ^ (is_clear | makes[Step.CLEAR])),
                    "cleared once, first",
                ),
                Assume(~comes | (self.step.step.as_value() <= Step.DROP.value), "no such step"),
                Assume(
                    ~brings[Step.SERVE]
                    | (job_waits & ~makes[Step.SERVE] & (in_flight < in_flight_limit(config))),
                    "served without being queued",
                ),
                Assume(
                    ~brings[Step.PROMPT] | (prompt_waits & ~makes[Step.PROMPT]),
                    "prompted without being queued",
                ),
                Assume(~brings[Step.ATOMIC_DONE] | is_atomic, "done without being started"),
                Assume(~brings[Step.SENT] | in_flight.any(), "sent without being issued"),
                Assume(
                    ~(brings[Step.EVENT] & (event.kind == EventKind.JOB))
                    | (jobs < _CONFIG.resources),
                    "a job too many",
                ),
            ]
            with m.If(is_clear):
                m.d.comb += [
                    Assert(~made | (rows.before == latest), "not the newest row"),
                    Assert((written & (rows.written_row == latest)) | (kept == latest), "lost"),
                    Assert(~pushes_job | ~job_waits | makes[Step.SERVE], "queued twice"),
                    Assert(~pushes_prompt | ~prompt_waits | makes[Step.PROMPT], "prompt twice"),
                    Assert(~pushes_atomic | ~is_atomic, "started twice"),
                    Assert(latest.is_queued == job_waits, "queued or not"),
                    Assert(latest.is_prompt == prompt_waits, "prompt or not"),
                    Assert(
                        latest.is_atomic == (is_atomic | makes[Step.ATOMIC_DONE]), "started or not"
                    ),
                    Assert(latest.in_flight == in_flight + makes[Step.SENT], "in flight"),
                    Assert(
                        latest.is_queued + latest.waits + latest.is_atomic <= 1, "in two states"
                    ),
                    Assert(
                        ~has_jobs | latest.is_queued | latest.waits | latest.is_atomic,
                        "a job is lost",
                    ),
                    Assert(~latest.waits | (has_jobs & latest.in_flight.any()), "waits for ever"),
                    Assert(
                        has_jobs | ~(latest.is_queued | latest.is_atomic) | latest.is_stale,
                        "at work on nothing",
                    ),
                    Assert(
                        ~latest.is_stale | latest.is_queued | latest.is_atomic, "stale for ever"
                    ),
                    Assert(~latest.notify | latest.is_prompt, "a CNP is lost"),
                    Assert(
                        (latest.slot == EventKind.NOTHING) | ~is_idle | latest.is_prompt,
                        "an answer is lost",
                    ),
                    Assert((latest.tail - latest.head)[: len(jobs)] <= _CONFIG.resources, "jobs"),
                    Cover(latest.waits, "waits"),
                    Cover(latest.is_stale & latest.is_atomic & has_jobs, "a new job, stale"),
                    Cover(rows.answers & ~rows.notifies & (in_flight == 0), "an answer"),
                    Cover(latest.in_middle & (latest.in_flight == 2), "two packets of a READ"),
                ]
            with m.Else():
                m.d.comb += [
                    Assert(~job_waits & ~prompt_waits & ~is_atomic, "before it is clear"),
                    Assert(in_flight == 0, "in flight before it is clear"),
                    Assert(~made | makes[Step.CLEAR], "a step before it is clear"),
                ]
        return m


class _Members(wiring.Component):
    """A ring whose users put in as many as there are at most."""

    push: Signal
    takes: Signal

    def __init__(self, members: int):
        self.members = members
        super().__init__({"push": In(1), "takes": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = ring = ReadyRing(shape=1, members=self.members)
        count = Signal(range(self.members + 1))
        stored = Signal(range(self.members + 1))
        taken = Signal()
        m.d.comb += [
            ring.push.eq(self.push),
            ring.o.ready.eq(self.takes),
            taken.eq(ring.o.valid & self.takes),
            stored.eq(count - ring.fetched - ring.o.valid),
        ]
        m.d.sync += count.eq(count + self.push - taken)
        level = Signal.like(ring.write_address)
        m.d.comb += level.eq(ring.write_address - ring.read_address)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.push | (count < self.members) | taken, "a member twice"),
                Assert(count >= ring.fetched + ring.o.valid, "a member from nowhere"),
                Assert(stored < self.members, "overflows"),
                Assert(level == stored, "forgets or makes members"),
                Assert(~ring.fetched | ~ring.o.valid, "overwrites"),
                Cover(count == self.members, "all are in"),
            ]
        return m


PROOFS = [
    Proof("roce.AnswerRows/no wake-up lost, none queued twice", _OneQueuePair, depth=3),
    Proof("roce.AnswerRows/assumptions not vacuous", _OneQueuePair, 16, "cover"),
    Proof(
        "roce.AnswerRows/narrow: no wake-up lost, none queued twice",
        lambda: _OneQueuePair(_NARROW),
        depth=4,
    ),
    Proof("roce.ReadyRing/never overflows, 2", lambda: _Members(2), depth=4),
    Proof("roce.ReadyRing/never overflows, 4", lambda: _Members(4), depth=4),
    Proof("roce.ReadyRing/all are in", lambda: _Members(4), 10, "cover"),
]
