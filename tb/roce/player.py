"""Play steps of the oracle on an engine, and compare what it does with what the model did."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sim.roce import (
    BadPacketError,
    Completion,
    CompletionStatus,
    Memory,
    RocePacket,
    Service,
    parse,
)

from .coalesced import compare_coalesced, is_notification
from .engine import Engine
from .oracle import Action, FrameStep, Oracle, Step, Touched, overlap

__all__ = ["Player", "differing_memory"]

#: Frames that are remembered for the message of a failure, and how many of it one has.
_RECENT = 1000
_LISTED = 60


@dataclass
class _Job:
    """A READ or atomic operation that is not answered to its end yet."""

    peer: int
    until: int
    is_atomic: bool
    touched: list[Touched]


def differing_memory(model: Memory, engine: Engine) -> list[tuple[int, int]]:
    """List space and address of the blocks of memory that differ."""
    mine = {place: block for place, block in model.blocks() if any(block)}
    theirs = {
        place: block
        for place, block in engine.memory.blocks()
        if any(block) and not engine.is_own(place[0], place[1] << 12)
    }
    places = [
        place for place in mine.keys() | theirs.keys() if mine.get(place) != theirs.get(place)
    ]
    return sorted((space, block << 12) for space, block in places)


def _listed(answers: list[RocePacket]) -> str:
    """Name the last answers as opcode, PSN, MSN, syndrome and bytes of data."""
    return " ".join(
        f"{a.bth['opcode']:02x}:{a.psn}:"
        + (
            f"{a.headers['aeth']['msn']}:{a.headers['aeth']['syndrome']:02x}"
            if "aeth" in a.headers
            else ""
        )
        + (f":{len(a.payload)}" if a.payload else "")
        for a in answers[-_LISTED:]
    )


@dataclass
class Player:
    """Engine, model, and what was not compared yet.

    Parameters
    ----------
    engine : Engine
    oracle : Oracle
    is_patient : bool
        Wait after each frame until the engine is quiet: then every answer must be the model's.

    Attributes
    ----------
    freedoms : Counter
        Which ones the engine took, of those of :func:`compare_coalesced`.
    waits : Counter
        How often a frame had to wait, and why.
    """

    engine: Engine
    oracle: Oracle
    is_patient: bool = False
    freedoms: Counter = field(default_factory=Counter)
    waits: Counter = field(default_factory=Counter)
    _jobs: deque[_Job] = field(default_factory=deque)
    _expected: dict[int, list[RocePacket]] = field(default_factory=lambda: defaultdict(list))
    _expected_jobs: Counter[int] = field(default_factory=Counter)
    _notifications: Counter[int] = field(default_factory=Counter)
    _services: dict[int, Service] = field(default_factory=dict)
    _peers: dict[int, int] = field(default_factory=dict)
    _recent: deque[FrameStep] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _is_settled: bool = False

    async def play(self, steps: Iterable[Step]) -> None:
        """Do what ``steps`` say."""
        for step in steps:
            if isinstance(step, FrameStep):
                await self._send(step)
            else:
                await self._act(step)

    async def _send(self, step: FrameStep) -> None:
        self._is_settled = False
        self._recent.append(step)
        await self._make_room()
        peers = {answer.bth["dest_qp"] for answer in step.answers}
        await self._wait_for_jobs(step, peers)
        for answer in step.answers:
            if is_notification(answer):
                self._notifications[answer.bth["dest_qp"]] += 1
            else:
                self._expected[answer.bth["dest_qp"]].append(answer)
        if step.jobs:
            peer = step.jobs[0].bth["dest_qp"]
            self._expected_jobs[peer] += len(step.jobs)
            is_atomic = step.jobs[0].bth["opcode"] == 0x12
            touched = step.reads + step.writes
            self._jobs.append(_Job(peer, self._expected_jobs[peer], is_atomic, touched))
        await self.engine.send(step.frame)
        if self.is_patient:
            await self.engine.settle()

    async def _make_room(self) -> None:
        """Take completions before a queue of them overflows."""

        def ahead() -> int:
            taken = sum(len(queue) for queue in self.engine.completions.values())
            return len(self.oracle.model.completions) - taken

        # One frame may end as many receive requests as wait in a queue.
        if ahead() > self.engine.completion_room // 4:
            self.engine.poll()
            if ahead() > self.engine.completion_room // 4:
                self.waits["completion queue"] += 1
                await self.engine.settle()
                self.engine.poll()

    def recent(self, queue_pair: int) -> str:
        """Name the last frames to a queue pair: operation, PSN, bytes, what the model answered."""
        lines = []
        for step in self._recent:
            try:
                packet = parse(step.frame)
            except BadPacketError as error:
                lines.append(f"({error})")
                continue
            if packet.bth["dest_qp"] == queue_pair:
                name = packet.name or hex(packet.bth["opcode"])
                size = len(packet.payload)
                lines.append(f"{name} {packet.psn} {size} -> {_listed(step.answers)}")
        return "\n".join(lines[-_LISTED:])

    def _unfinished(self) -> list[_Job]:
        done = self.engine.job_answers
        self._jobs = deque(job for job in self._jobs if done[job.peer] < job.until)
        return list(self._jobs)

    def _must_wait(self, step: FrameStep, peers: set[int], jobs: list[_Job]) -> str:
        """Why this frame has to wait for a job, if it has to.

        An engine reads memory for a READ or atomic operation some time after the request, while it
        takes what comes behind; a requester that wants an order must wait for the answer.
        """
        if step.revokes:
            return "key is taken away" if jobs else ""
        if not step.jobs:
            hit = (job for job in jobs if overlap(job.touched, step.writes))
            return "writes what is to be read" if any(hit) else ""
        if sum(job.peer in peers for job in jobs) >= self.engine.resources:
            return "as many as the queue pair has resources"
        is_atomic = step.jobs[0].bth["opcode"] == 0x12
        for job in jobs:
            ordered = job.peer in peers and job.is_atomic
            races = (is_atomic or job.is_atomic) and not ordered
            if races and overlap(job.touched, step.reads):
                return "atomic operation and another job"
        return ""

    async def _wait_for_jobs(self, step: FrameStep, peers: set[int]) -> None:
        if not self._jobs:
            return
        why = self._must_wait(step, peers, self._unfinished())
        while why:
            self.waits[why] += 1
            try:
                await self.engine.progress()
            except AssertionError as error:
                late = [
                    (job.peer, job.until - self.engine.job_answers[job.peer]) for job in self._jobs
                ]
                lists = "".join(
                    f"\nmodel: {_listed(self._expected[peer])}\nsent: "
                    + _listed([a for a in self.engine.answers if a.bth["dest_qp"] == peer])
                    for peer in {job.peer for job in self._jobs}
                )
                text = f"{why}; queue pairs and answers with data that are missing: {late}{lists}"
                raise AssertionError(text) from error
            why = self._must_wait(step, peers, self._unfinished())

    async def _act(self, action: Action) -> None:
        engine = self.engine
        if not self._is_settled:
            await engine.settle()
            self._is_settled = True
        if action.kind == "queue_pair":
            assert action.queue_pair is not None
            self._services[action.queue_pair.number] = action.queue_pair.service
            self._peers[action.queue_pair.peer_queue_pair] = action.queue_pair.number
            await engine.set_up(action.queue_pair)
        elif action.kind == "region":
            assert action.region is not None
            await engine.add(action.region)
        elif action.kind == "remove":
            await engine.remove(action.key)
        elif action.kind == "memory":
            assert action.memory is not None
            engine.memory.write(*action.memory)
        elif action.kind in ("post", "limit"):
            assert action.queue is not None
            if action.request is not None:
                await engine.post(action.queue, action.request)
            else:
                await engine.limit(action.queue, action.limit)

    async def check(self, *, memory: bool = True) -> None:
        """Wait until the engine is quiet, and compare all that it did since the last time."""
        engine, model = self.engine, self.oracle.model
        await engine.settle()
        engine.poll()
        sent: dict[int, list[RocePacket]] = defaultdict(list)
        notified: Counter[int] = Counter()
        for answer in engine.answers:
            if is_notification(answer):
                notified[answer.bth["dest_qp"]] += 1
            else:
                sent[answer.bth["dest_qp"]].append(answer)
        engine.answers.clear()
        for peer in self._expected.keys() | sent.keys():
            difference, used = compare_coalesced(self._expected[peer], sent[peer])
            assert difference is None, (
                f"answers to queue pair {peer:#x}: {difference}\n"
                f"model: {_listed(self._expected[peer])}\nsent: {_listed(sent[peer])}\n"
                f"frames: {self.recent(self._peers.get(peer, peer))}"
            )
            self.freedoms += used
        if self.is_patient:
            used = [name for name in self.freedoms if name != "credits of a response"]
            assert not used, f"freedoms that nothing called for: {used}"
        self._expected.clear()
        assert notified.keys() == self._notifications.keys(), (notified, self._notifications)
        for peer, count in notified.items():
            assert count <= self._notifications[peer], "more CNPs than marked packets"
        self._notifications.clear()
        self._compare_completions()
        theirs = [event for event in model.events if event[0] != "limit"]
        # What memory refuses, the model does not know.
        assert Counter(e for e in engine.events if e[0] != "limit") == Counter(theirs), (
            engine.events,
            theirs,
        )
        limits = sum(kind == "limit" for kind, _ in model.events)
        assert sum(kind == "limit" for kind, _ in engine.events) == limits, (
            engine.events,
            model.events,
        )
        engine.events.clear()
        model.events.clear()
        assert engine.congested == model.congested, (engine.congested, model.congested)
        engine.congested.clear()
        model.congested.clear()
        model.dropped.clear()
        if memory:
            differing = differing_memory(self.oracle.memory, engine)
            assert not differing, "\n".join(self._difference(*place) for place in differing[:8])

    def _difference(self, space: int, address: int) -> str:
        """Name the first bytes of a block of memory that differ."""
        size = 4096
        ours = self.engine.memory.read(space, address, size)
        models = self.oracle.memory.read(space, address, size)
        places = [n for n in range(size) if ours[n] != models[n]]
        first = places[0]
        return (
            f"space {space} {address + first:#x} and {len(places) - 1} bytes more, to "
            f"{address + places[-1]:#x}: {ours[first : first + 24].hex()}, "
            f"not {models[first : first + 24].hex()}"
        )

    def _compare_completions(self) -> None:
        """Compare each queue pair's: those of others in the same queue may come in between.

        Requests that are flushed take turns with packets.
        """
        expected: dict[int, list[Completion]] = defaultdict(list)
        got: dict[int, list[Completion]] = defaultdict(list)
        for completion in self.oracle.model.completions:
            expected[completion.queue_pair].append(self._seen(completion))
        for queue, completions in self.engine.completions.items():
            for completion in completions:
                number = completion.queue_pair
                assert self.engine.completion_queue(number) == queue, f"in {queue}: {completion}"
                got[number].append(self._seen(completion))
        self.oracle.model.completions.clear()
        self.engine.completions.clear()
        for number in expected.keys() | got.keys():
            ours, wanted = got[number], expected[number]
            for count, pair in enumerate(zip(ours, wanted, strict=False)):
                assert pair[0] == pair[1], f"completion {count} of queue pair {number:#x}: {pair}"
            assert len(ours) == len(wanted), (
                f"{len(ours)} completions of queue pair {number:#x}, not {len(wanted)}: last "
                f"{ours[-1:]}, next {wanted[len(ours) : len(ours) + 1]}"
            )

    def _seen(self, completion: Completion) -> Completion:
        """Leave only what a completion queue entry says."""
        if completion.status is not CompletionStatus.SUCCESS:
            return Completion(completion.queue_pair, completion.identifier, completion.status)
        # It names the sender of a datagram only: of the others there is one.
        is_datagram = self._services.get(completion.queue_pair) is Service.UD
        source = completion.source_queue_pair if is_datagram else 0
        return replace(completion, has_route_header=True, source_queue_pair=source)
