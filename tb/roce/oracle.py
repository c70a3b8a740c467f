"""The golden model as an oracle: what each frame is to leave behind, and what it touches."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sim.roce import (
    KeyTable,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    RocePacket,
)

from .coalesced import is_job_answer

__all__ = ["Action", "FrameStep", "LoggedMemory", "Oracle", "Step", "Touched", "overlap"]

#: Space, first and one behind the last address.
Touched = tuple[int, int, int]


def overlap(some: Iterable[Touched], others: Iterable[Touched]) -> bool:
    """Whether two lists of touched memory have a byte in common."""
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in some for b in others)


class LoggedMemory(Memory):
    """Memory that remembers what was read and written since :meth:`take_log`."""

    def __init__(self):
        super().__init__()
        self._reads: list[Touched] = []
        self._writes: list[Touched] = []

    def read(self, space: int, address: int, length: int) -> bytes:
        """Bytes from ``address`` on."""
        self._reads.append((space, address, address + length))
        return super().read(space, address, length)

    def write(self, space: int, address: int, data: bytes) -> None:
        """Put ``data`` at ``address``."""
        self._writes.append((space, address, address + len(data)))
        super().write(space, address, data)

    def take_log(self) -> tuple[list[Touched], list[Touched]]:
        """Give what was read and what was written, and forget it."""
        log = self._reads, self._writes
        self._reads, self._writes = [], []
        return log


class _LoggedKeys(KeyTable):
    """Key table that tells whether a key was invalidated from afar."""

    revoked = False

    def invalidate(self, key: int, domain: int, queue_pair: int) -> bool:
        done = super().invalidate(key, domain, queue_pair)
        self.revoked |= done
        return done


@dataclass(frozen=True)
class FrameStep:
    """A frame, and what the model makes of it.

    Parameters
    ----------
    frame : bytes
    answers : list of RocePacket
        In order.
    reads, writes : list of (space, begin, end)
        Memory that it touches.
    revokes : bool
        It takes a key away.
    queue_pair : int, optional
        Whom the generator sent it to.
    """

    frame: bytes
    answers: list[RocePacket]
    reads: list[Touched]
    writes: list[Touched]
    revokes: bool = False
    queue_pair: int | None = None

    @property
    def jobs(self) -> list[RocePacket]:
        """Answers that carry what was asked for."""
        return [answer for answer in self.answers if is_job_answer(answer)]


@dataclass(frozen=True)
class Action:
    """What the driver does, when all before it has been done.

    Parameters
    ----------
    kind : str
        ``queue_pair``, ``region``, ``remove``, ``post``, ``limit``, ``memory`` or ``settle``.
    queue_pair : QueuePair, optional
        As it is set up (a copy).
    queue : ReceiveQueue, optional
        Which one: of ``post`` and ``limit``.
    region : Region, optional
    request : ReceiveRequest, optional
    key : int
    limit : int
    memory : (space, address, bytes), optional
        What somebody else writes.
    """

    kind: str
    queue_pair: QueuePair | None = None
    queue: ReceiveQueue | None = None
    region: Region | None = None
    request: ReceiveRequest | None = None
    key: int = 0
    limit: int = 0
    memory: tuple[int, int, bytes] | None = None


Step = FrameStep | Action


@dataclass
class Oracle:
    """Golden model to which everything is done first.

    Each method does it to the model and gives the step that does it to an engine.

    Attributes
    ----------
    completions : int
        Of the model, so far; the model's list is taken away by whoever compares.
    """

    memory: LoggedMemory = field(default_factory=LoggedMemory)
    keys: KeyTable = field(default_factory=_LoggedKeys)
    model: Responder = field(init=False)

    def __post_init__(self):
        self.model = Responder(self.memory, self.keys)

    def frame(self, frame: bytes, queue_pair: int | None = None) -> FrameStep:
        """Put a frame in."""
        self.memory.take_log()
        self.keys.revoked = False  # pyright: ignore[reportAttributeAccessIssue]
        answers = self.model.receive(frame)
        reads, writes = self.memory.take_log()
        revoked = self.keys.revoked  # pyright: ignore[reportAttributeAccessIssue]
        return FrameStep(frame, answers, reads, writes, revoked, queue_pair)

    def set_up(self, queue_pair: QueuePair) -> Action:
        """Make a queue pair known, anew."""
        self.model.queue_pairs[queue_pair.number] = queue_pair
        return Action("queue_pair", queue_pair=replace(queue_pair))

    def add(self, region: Region) -> Action:
        """Make a region or window known."""
        self.keys.add(region)
        return Action("region", region=region)

    def post(self, queue: ReceiveQueue, request: ReceiveRequest) -> Action:
        """Post a receive request."""
        queue.requests.append(request)
        return Action("post", queue=queue, request=request)

    def limit(self, queue: ReceiveQueue, limit: int) -> Action:
        """Arm the event of a receive queue."""
        queue.limit = limit
        return Action("limit", queue=queue, limit=limit)

    def write(self, space: int, address: int, data: bytes) -> Action:
        """Write memory as somebody else."""
        self.memory.write(space, address, data)
        return Action("memory", memory=(space, address, data))
