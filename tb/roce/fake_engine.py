"""A stand-in for the hardware: the golden model with late, coalesced answers, and with mistakes."""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import replace

from sim.roce import (
    Completion,
    KeyTable,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    RocePacket,
)

from .coalesced import is_job_answer, is_notification

__all__ = ["FakeEngine"]

_QUEUES = 4


class FakeEngine:
    """Engine of :class:`tb.roce.player.Engine` that is a model of its own.

    Answers wait for a while; an acknowledgement gives way to a newer one that waits behind it.

    Parameters
    ----------
    seed : int
        Of when answers are sent.
    spoil : callable, optional
        Called with this engine and each frame before it is put in, to do something wrong; gives
        the frame, or None to lose it.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        spoil: "Callable[[FakeEngine, bytes], bytes | None] | None" = None,
    ):
        self.memory = Memory()
        self.keys = KeyTable()
        self.model = Responder(self.memory, self.keys)
        self.spoil = spoil
        self.random = random.Random(seed)
        self.answers: list[RocePacket] = []
        self.job_answers: Counter[int] = Counter()
        self.completions: dict[int, list[Completion]] = defaultdict(list)
        self.events = self.model.events
        self.congested = self.model.congested
        self.resources = 16
        self.completion_room = 64
        self._waiting: dict[int, deque[RocePacket]] = defaultdict(deque)
        self._queues: dict[int, tuple[ReceiveQueue, ReceiveQueue]] = {}

    def completion_queue(self, queue_pair: int) -> int:
        """Completion queue of a queue pair."""
        return queue_pair % _QUEUES

    def receive_queue(self, queue: ReceiveQueue) -> int:
        """Give the number of a receive queue."""
        return id(queue)

    def _queue(self, queue: ReceiveQueue) -> ReceiveQueue:
        twin = ReceiveQueue(is_shared=queue.is_shared)
        return self._queues.setdefault(id(queue), (queue, twin))[1]

    async def set_up(self, queue_pair: QueuePair) -> None:
        """Set a queue pair up anew."""
        twin = replace(queue_pair, receives=self._queue(queue_pair.receives))
        self.model.queue_pairs[twin.number] = twin

    async def add(self, region: Region) -> None:
        """Make a region known."""
        self.keys.add(region)

    async def remove(self, key: int) -> None:
        """Take a key away."""
        self.keys._regions.pop(key >> 8, None)

    async def post(self, queue: ReceiveQueue, request: ReceiveRequest) -> None:
        """Post a receive request."""
        self._queue(queue).requests.append(request)

    async def limit(self, queue: ReceiveQueue, limit: int) -> None:
        """Arm the event of a receive queue."""
        self._queue(queue).limit = limit

    async def send(self, frame: bytes) -> None:
        """Put a frame in."""
        if self.spoil is not None:
            spoiled = self.spoil(self, frame)
            if spoiled is None:
                return
            frame = spoiled
        for answer in self.model.receive(frame):
            if is_notification(answer):
                self._answer(answer)
                continue
            waiting = self._waiting[answer.bth["dest_qp"]]
            # A slot for the newest acknowledgement; only what is newer takes it.
            both = waiting and self._is_positive(waiting[-1]) and self._is_positive(answer)
            if both and (answer.psn - waiting[-1].psn) % (1 << 24) < 1 << 23:
                waiting.pop()
            waiting.append(answer)
        if self.random.random() < 0.3:
            self._release()

    @staticmethod
    def _is_positive(answer: RocePacket) -> bool:
        return answer.bth["opcode"] == 0x11 and answer.headers["aeth"]["syndrome"] < 0x20

    def _answer(self, answer: RocePacket) -> None:
        self.answers.append(replace(answer))
        if is_job_answer(answer):
            self.job_answers[answer.bth["dest_qp"]] += 1

    def _release(self) -> None:
        filled = [waiting for waiting in self._waiting.values() if waiting]
        for waiting in filled:
            for _ in range(self.random.randint(0, len(waiting))):
                self._answer(waiting.popleft())

    async def settle(self) -> None:
        """Send all that waits."""
        for waiting in self._waiting.values():
            while waiting:
                self._answer(waiting.popleft())

    async def progress(self) -> None:
        """Send something that waits."""
        assert any(self._waiting.values()), "nothing more will be answered"
        self._release()

    def poll(self) -> None:
        """Take completions."""
        for completion in self.model.completions:
            self.completions[self.completion_queue(completion.queue_pair)].append(completion)
        self.model.completions.clear()

    def is_own(self, space: int, address: int) -> bool:
        """Nothing in memory is its own."""
        return False
