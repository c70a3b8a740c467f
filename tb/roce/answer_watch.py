"""What hdl.roce.AnswerScheduler may do for one queue pair, whatever its timing is."""

from dataclasses import dataclass
from typing import Any

from sim.roce.answer_scheduler import Text, after_event, packets

__all__ = ["Job", "QueuePairWatch"]


@dataclass
class Job:
    """A row of the ring, and what has become of it."""

    fields: dict[str, Any]
    wanted: list[tuple[int, int, int, int]]
    issued: int = 0
    sent: int = 0
    started: bool = False
    done: bool = False
    forgotten: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it is a READ."""
        return self.fields["kind"] == 0

    @property
    def is_issued(self) -> bool:
        """Whether the next job may start, if it is a READ."""
        return self.issued == len(self.wanted) if self.is_read else self.done

    @property
    def is_answered(self) -> bool:
        """Whether nothing of it is in flight and nothing is to come."""
        if self.is_read:
            return self.sent == self.issued and (self.is_issued or self.forgotten)
        return self.done or (self.forgotten and not self.started)


def make_job(fields: dict[str, Any]) -> Job:
    """Job of a row."""
    wanted = []
    if fields["kind"] == 0:
        length = fields["operand"] & 0xFFFFFFFF
        wanted = list(
            packets(fields["psn"], fields["place"]["linear"], length, 1 << fields["mtu_shift"])
        )
    return Job(fields, wanted)


class QueuePairWatch:
    """Follow a queue pair: when an event is taken is known, not when it is looked at.

    So ``states`` has all that may be: how many events have been looked at, what is in the slot
    then, and whether a CNP is wanted.
    """

    def __init__(self, ring: int):
        self.ring = ring
        self.events: list[tuple[Text, bool]] = []
        self.states: set[tuple[int, Text | None, bool]] = {(0, None, False)}
        self.jobs: list[Job] = []
        self.jobs_before: list[int] = [0]  # of each number of events
        self.current = 0
        self.head = 0

    def take(self, event: Text, notify: bool) -> None:
        """Follow an event, or a DROP."""
        self.events.append((event, notify))
        self.jobs_before.append(self.jobs_before[-1] + (event.kind == "JOB"))
        # What has been looked at for sure would do here; this only keeps the set small.
        if len(self.states) > 200:
            self.states = set(sorted(self._later(), key=lambda state: -state[0])[:400])

    def _later(self) -> set[tuple[int, Text | None, bool]]:
        found = set(self.states)
        for state in self.states:
            seen, slot, notify = state
            for event, marked in self.events[seen:]:
                seen += 1
                slot = after_event(slot, event)
                notify = (notify and event.kind != "RESET") or marked
                found.add((seen, slot, notify))
        return found

    def _idle_after(self, seen: int) -> bool:
        return all(job.is_answered for job in self.jobs[: self.jobs_before[seen]])

    def acknowledge(self, psn: int, msn: int, syndrome: int) -> None:
        """Follow an answer without data."""
        self.states = {
            (seen, None, notify)
            for seen, slot, notify in self._later()
            if slot
            and (slot.psn, slot.msn, slot.syndrome) == (psn, msn, syndrome)
            and self._idle_after(seen)
        }
        assert self.states, "an answer that nothing asked for, or before a job's end"

    def notify(self) -> None:
        """Follow a CNP."""
        self.states = {(seen, slot, False) for seen, slot, notify in self._later() if notify}
        assert self.states, "a CNP that nothing asked for"

    def _next_job(self, fits) -> Job:
        """Return the job whose turn it is; those that were forgotten may be left out."""
        known = self.jobs_before[-1]
        while True:
            while self.current < known and self.jobs[self.current].is_issued:
                self.current += 1
            assert self.current < known, "no job to answer"
            job = self.jobs[self.current]
            if fits(job):
                break
            assert job.forgotten, "not what is to come next"
            self.current += 1
        assert all(old.is_answered for old in self.jobs[: self.current] if not old.is_read), (
            "an atomic operation is at work"
        )
        return job

    def segment(self, packet: tuple[int, int, int, int], about: dict[str, Any]) -> Job:
        """Follow a packet of a READ."""
        job = self._next_job(
            lambda job: (
                job.is_read
                and job.wanted[job.issued] == packet
                and {**job.fields["place"], "linear": 0} == about["place"]
                and job.fields["msn"] == about["msn"]
                and job.fields["again"] == about["again"]
            )
        )
        job.issued += 1
        return job

    def start(self, fields: dict[str, Any]) -> Job:
        """Follow an atomic operation."""
        job = self._next_job(
            lambda job: not job.is_read and not job.started and job.fields == fields
        )
        assert all(old.is_answered for old in self.jobs[: self.current]), "packets are in flight"
        job.started = True
        return job

    def free(self, head: int) -> list[int]:
        """Rows are told to be free; return their slots."""
        count = (head - self.head) % (2 * self.ring)
        assert count <= self.ring, "the head went back"
        jobs = self.jobs[self.head : self.head + count]
        assert self.head + count <= self.jobs_before[-1], "rows that are not there"
        for job in jobs:
            assert job.is_issued or (job.forgotten and (job.done or not job.started)), "too early"
        slots = [(self.head + number) % self.ring for number in range(count)]
        self.head += count
        return slots

    def forget(self) -> None:
        """Events RESET, DROP: what is known of jobs may be left out from now on."""
        for job in self.jobs[: self.jobs_before[-1]]:
            job.forgotten = True

    def check_end(self) -> None:
        """Nothing is left to be done."""
        assert self.head == len(self.jobs) == self.jobs_before[-1], "rows are not free"
        assert all(job.is_answered for job in self.jobs), "a job without an answer"
        assert (len(self.events), None, False) in self._later(), "an answer is owed"
