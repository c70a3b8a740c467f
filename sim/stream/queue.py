"""Golden model of hdl.stream.Queue and BeatQueue."""

from collections import deque
from typing import Any

__all__ = ["QueueModel"]


class QueueModel:
    """A queue that holds the least power of two above ``depth - 2``, but at least 4, and 1 more.

    If it is ``shallow``, the least power of two above ``depth - 1``, but at least 4. At half the
    rate, the same for one more: its ``depth`` does not count the one on the output.
    """

    def __init__(self, depth: int, *, shallow: bool = False, half_rate: bool = False):
        depth += half_rate
        more = 0 if shallow else 1
        rows = 4
        while rows < depth - more:
            rows *= 2
        self.capacity = rows + more
        self.held: deque[Any] = deque()

    def push(self, payload: Any) -> bool:
        """Offer ``payload``; return whether it is taken."""
        if len(self.held) == self.capacity:
            return False
        self.held.append(payload)
        return True

    def pop(self) -> Any:
        """Payload that leaves next; raise IndexError if there is none."""
        return self.held.popleft()
