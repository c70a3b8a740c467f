"""What a host knows of the memory reads that it was sent: their data, and how they may end."""

import random
from dataclasses import dataclass

from sim.dma import ReadEnd, ReadPiece

__all__ = ["Bounds", "HostMemory", "SentRead", "Times"]

_CHUNK = 256


class HostMemory:
    """Bytes that are never 0, so that bytes that did not come are told from those that did."""

    def __init__(self):
        self._pattern = bytes(random.randint(1, 255) for _ in range(1 << 16))
        self._chunks: dict[int, bytearray] = {}

    def _chunk(self, number: int) -> bytes | bytearray:
        if number in self._chunks:
            return self._chunks[number]
        begin = number * 0x9E3779B1 % ((1 << 16) - _CHUNK)
        return self._pattern[begin : begin + _CHUNK]

    def read(self, address: int, length: int) -> bytes:
        """Bytes from ``address`` on."""
        first, last = address // _CHUNK, (address + length - 1) // _CHUNK
        block = b"".join(self._chunk(number) for number in range(first, last + 1))
        return block[address - first * _CHUNK :][:length]

    def write(self, address: int, data: bytes) -> None:
        """Change bytes from ``address`` on."""
        place = 0
        while place < len(data):
            number, offset = divmod(address + place, _CHUNK)
            part = data[place : place + _CHUNK - offset]
            chunk = self._chunks.setdefault(number, bytearray(self._chunk(number)))
            chunk[offset : offset + len(part)] = part
            place += len(part)


@dataclass(frozen=True)
class Times:
    """What is known of time, in cycles.

    Parameters
    ----------
    timeout : int
        As set.
    tag_count : int
        Tags, which the engine looks at one after the other.
    slack : int
        From when the engine begins to count to when the host sees the read, at most.
    backlog : int
        From when a completion is sent to when the engine has worked on it, at most.
    """

    timeout: int
    tag_count: int
    slack: int = 900
    backlog: int = 200

    @property
    def earliest(self) -> int:
        """From when the host sees a read: before that, it has not timed out."""
        return self.timeout - self.slack

    @property
    def latest(self) -> int:
        """From when the host sees a read: by then it has timed out."""
        return self.timeout * 5 // 4 + 8 * self.tag_count + 400

    @property
    def quarantine(self) -> int:
        """From when the host sees a read that timed out: before that, its tag is not used again."""
        return 2 * self.timeout - self.slack


@dataclass
class SentRead:
    """A part of a client's read, and what the host knows of it.

    Attributes
    ----------
    seen, tag, data
        Cycle in which the host saw it, -1 until then; its tag; what lies there.
    ended, ended_at
        How its completions ended it, if they did; when.
    raced : bool
        A completion was sent when it may have timed out.
    down_at : int or None
        When the link went down first.
    """

    piece: ReadPiece
    seen: int = -1
    tag: int = -1
    data: bytes = b""
    ended: ReadEnd | None = None
    ended_at: int = 0
    raced: bool = False
    down_at: int | None = None

    def statuses(self, now: int, times: Times, *, was_down: bool) -> set[ReadEnd]:
        """Tell how it may have ended; ``was_down``: the link was, during its request."""
        if self.seen < 0:
            return {ReadEnd.LINK_DOWN} if was_down else set()
        down, is_over = self.down_at, now >= self.seen + times.earliest
        if self.ended is not None:
            found = {self.ended}
            if self.raced and is_over:
                found.add(ReadEnd.TIMEOUT)
            if down is not None and down <= self.ended_at + times.backlog:
                found.add(ReadEnd.LINK_DOWN)
            return found
        found = set()
        if down is not None and down <= self.seen + times.latest:
            found.add(ReadEnd.LINK_DOWN)
        if is_over and (down is None or down >= self.seen + times.earliest):
            found.add(ReadEnd.TIMEOUT)
        return found


@dataclass
class Bounds:
    """Least and greatest number of events that there may be."""

    least: int = 0
    most: int = 0

    def add(self, least: int, most: int) -> None:
        """Count something that happens ``least`` to ``most`` times."""
        self.least += least
        self.most += most
