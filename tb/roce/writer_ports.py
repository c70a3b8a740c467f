"""Orders of a Writer, and ports that tell when something is taken."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdl.roce.layouts import WriteOrderKind, WriteOrderLayout
from sim.roce import Completion
from sim.roce.completion_queue import PostedEntry

from ..dma.fields import pack_fields
from ..stream import StreamSink, StreamSource
from .write_memory import MemoryWrite

__all__ = ["PAGE", "ClaimedPage", "CountedSource", "Order", "TellingSink", "pack_order"]

PAGE = 4096


@dataclass(eq=False)
class Order:
    """An order; ``event`` of the last one of an action, as the fields of its layout.

    From ``taken`` on, the time when it was taken, it says what became of it.
    """

    kind: WriteOrderKind = WriteOrderKind.NOTHING
    queue_pair: int = 0
    space: int = 0
    address: int = 0
    data: bytes = b""
    queue: int = 0
    completion: Completion | None = None
    event: dict[str, int] | None = None
    taken: float | None = None
    write: MemoryWrite | None = None
    flushes: list[MemoryWrite] = field(default_factory=list)
    is_refused: bool = False
    posted: PostedEntry | None = None

    @property
    def writes(self) -> list[MemoryWrite]:
        """Writes that it made."""
        return [*self.flushes, *([self.write] if self.write else [])]

    @property
    def is_written(self) -> bool:
        """Whether its data or its entry has been written."""
        return self.write is not None and self.write.responded


@dataclass
class ClaimedPage:
    """A page that is claimed.

    What is seen at the time ``since`` was begun before the claim came, what is seen later
    knew of it; an entry is begun without knowing of it a cycle longer.
    """

    space: int
    page: int
    since: float
    since_for_entries: float = math.inf

    def keeps_off(self, write: MemoryWrite) -> bool:
        """Whether ``write`` touches the page and should have waited."""
        first, last = write.address // PAGE, (write.address + write.length - 1) // PAGE
        return (
            write.seen > (self.since_for_entries if write.tag == 1 else self.since)
            and write.length > 0
            and write.space == self.space
            and first <= self.page <= last
        )


def pack_order(layout: WriteOrderLayout, order: Order) -> int:
    """Make a payload of ``orders``."""
    values: dict[str, int] = {"kind": order.kind, "queue_pair": order.queue_pair}
    nested: list[tuple[str, dict[str, int]]] = []
    if order.kind == WriteOrderKind.DATA:
        nested.append(
            (
                "span",
                {"space": order.space, "address": order.address, "length": len(order.data)},
            )
        )
    if order.completion is not None:
        completion = order.completion
        value = completion.immediate
        if value is None:
            value = completion.invalidated or 0
        nested.append(
            (
                "completion",
                {
                    "valid": 1,
                    "queue": order.queue,
                    "queue_pair": completion.queue_pair,
                    "handle": completion.identifier,
                    "status": completion.status.value,
                    "byte_length": completion.byte_length,
                    "is_write": completion.is_write,
                    "has_immediate": completion.immediate is not None,
                    "has_invalidated": completion.invalidated is not None,
                    "value": value,
                    "source_queue_pair": completion.source_queue_pair,
                    "solicited": completion.solicited,
                },
            )
        )
    if order.event is not None:
        values["last"] = 1
        nested.append(("event", {"queue_pair": order.queue_pair, **order.event}))
    packed = pack_fields(layout, **values)
    for name, fields in nested:
        part: Any = layout[name]
        packed |= pack_fields(part.shape, **fields) << part.offset
    return packed


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
