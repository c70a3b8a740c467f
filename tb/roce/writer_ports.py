"""Orders of a Writer, and ports that tell when something is taken."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdl.roce.layouts import WriteOrderKind
from sim.roce import Completion
from sim.roce.completion_queue import PostedEntry

from ..stream import StreamSink, StreamSource
from .write_memory import MemoryWrite

__all__ = ["CountedSource", "Order", "TellingSink"]


@dataclass(eq=False)
class Order:
    """An order; ``event`` of the last one of an action, as the fields of its layout."""

    kind: WriteOrderKind = WriteOrderKind.NOTHING
    queue_pair: int = 0
    space: int = 0
    address: int = 0
    data: bytes = b""
    queue: int = 0
    completion: Completion | None = None
    event: dict[str, int] | None = None
    write: MemoryWrite | None = None
    flushes: list[MemoryWrite] = field(default_factory=list)
    is_refused: bool = False
    posted: PostedEntry | None = None

    @property
    def writes(self) -> list[MemoryWrite]:
        """Writes that it made."""
        return [*self.flushes, *([self.write] if self.write else [])]


class CountedSource(StreamSource):
    """Source that tells of each value when it is taken."""

    def __init__(self, *args: Any, **options: Any):
        self.offers: deque[Callable[[], None]] = deque()
        super().__init__(*args, **options)

    def _count(self) -> None:
        super()._count()
        if self.offers:  # none in reset
            self.offers.popleft()()


class TellingSink(StreamSink):
    """Sink that gives each payload to ``tell`` at once."""

    def __init__(self, dut: Any, name: str, *, tell: Callable[[int], None], **options: Any):
        self.tell = tell
        self.rst = dut.rst
        super().__init__(dut, name, **options)

    def accept(self, value: int) -> None:
        """Tell of a payload."""
        if not self.rst.value:
            self.tell(value)
