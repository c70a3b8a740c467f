"""What plays steps on hardware, or on what stands in for it."""

from collections import Counter
from typing import Protocol

from sim.roce import (
    Completion,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    RocePacket,
)

__all__ = ["Engine"]


class Engine(Protocol):
    """What plays and compares need of an engine: the hardware's bed, or a stand-in.

    Attributes
    ----------
    answers : list of RocePacket
        What was sent since somebody took it away, in order.
    job_answers : Counter
        How many of them carried data, ever, by the queue pair that they were sent to.
    completions : dict of int to list of Completion
        By completion queue, in order, since somebody took them away.
    events : list of (str, int)
        Kind and number.
    congested : list of int
        Queue pairs to which a CNP came.
    memory : Memory
    resources : int
        READs and atomic operations of a queue pair that may wait.
    completion_room : int
        Completions that a completion queue holds.
    """

    answers: list[RocePacket]
    job_answers: Counter[int]
    completions: dict[int, list[Completion]]
    events: list[tuple[str, int]]
    congested: list[int]
    memory: Memory
    resources: int
    completion_room: int

    def completion_queue(self, queue_pair: int) -> int:
        """Completion queue of a queue pair."""
        ...

    def receive_queue(self, queue: ReceiveQueue) -> int:
        """Give the number of a receive queue."""
        ...

    async def set_up(self, queue_pair: QueuePair) -> None:
        """Set a queue pair up anew."""
        ...

    async def add(self, region: Region) -> None:
        """Make a region known."""
        ...

    async def remove(self, key: int) -> None:
        """Take a key away."""
        ...

    async def post(self, queue: ReceiveQueue, request: ReceiveRequest) -> None:
        """Post a receive request."""
        ...

    async def limit(self, queue: ReceiveQueue, limit: int) -> None:
        """Arm the event of a receive queue."""
        ...

    async def send(self, frame: bytes) -> None:
        """Put a frame in, behind those before; wait if too many wait."""
        ...

    async def settle(self) -> None:
        """Wait until nothing happens any more."""
        ...

    async def progress(self) -> None:
        """Wait for something to be answered; raise if nothing is."""
        ...

    def poll(self) -> None:
        """Take completions out of memory."""
        ...

    def is_own(self, space: int, address: int) -> bool:
        """Whether memory there is the engine's own: completion queues."""
        ...
