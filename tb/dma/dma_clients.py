"""Clients of a Dma: their streams, and the requests that are under way."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdl.dma import MemoryRequestLayout
from sim.dma import ReadRequest, Write, WriteOutcome
from sim.pcie.tlp import Tlp

from ..pcie.tlp_port import TlpSink
from ..stream import PacketSink, PacketSource, StreamSink, StreamSource
from .fields import pack_fields
from .host_reads import SentRead

__all__ = ["ClientRead", "ClientStreams", "ClientWrite", "RequestSource", "Stalls", "TlpTaker"]

_REQUEST = MemoryRequestLayout()


class Stalls:
    """Pause policy: now and then a cycle, seldom a long while."""

    def __init__(self, often: float, *, most: int = 400):
        self.often = often
        self.most = most
        self._left = 0

    def __call__(self) -> bool:
        """Whether to pause in this cycle."""
        if self._left:
            self._left -= 1
            return True
        value = random.random()
        if value < 0.0005 and self.often:
            self._left = random.randrange(self.most)
        return value < self.often


@dataclass
class ClientRead:
    """A client's read; ``after`` is the write whose bytes it must find."""

    request: ReadRequest
    parts: list[SentRead]
    after: "ClientWrite | None" = None
    accepted_at: int = 1 << 60


@dataclass
class ClientWrite:
    """A client's write; ``came`` TLPs of it have reached the host.

    After the link went down behind one of them (``is_cut``), no more come.
    """

    write: Write
    outcome: WriteOutcome
    came: int = 0
    status: int | None = None
    accepted_at: int = 1 << 60
    was_down: bool = False
    is_cut: bool = False


class RequestSource(StreamSource):
    """Requests of one client, which know when they were taken."""

    def __init__(self, dut: Any, name: str, now: Callable[[], int], **options: Any):
        super().__init__(dut, name, **options)
        self.now = now
        self.waiting: deque[ClientRead | ClientWrite] = deque()

    def ask(self, what: ClientRead | ClientWrite, request: ReadRequest | Write) -> None:
        """Queue ``request``."""
        self.waiting.append(what)
        names = ("address", "length", "tag", "no_snoop", "relaxed_ordering", "id_ordering")
        values = {name: getattr(request, name) for name in names}
        self.send_value(pack_fields(_REQUEST, space=random.randrange(4), **values))

    def _count(self) -> None:
        super()._count()
        self.waiting.popleft().accepted_at = self.now()


class TlpTaker(TlpSink):
    """Give each TLP to ``on_tlp``."""

    on_tlp: Callable[[Tlp], None]

    def accept(self, tlp: Tlp) -> None:
        """Take one TLP."""
        self.on_tlp(tlp)


@dataclass
class ClientStreams:
    """Streams of one client, and what it waits for."""

    read_requests: RequestSource
    read_data: PacketSink
    read_responses: StreamSink
    write_requests: RequestSource
    write_data: PacketSource
    write_responses: StreamSink
    reads: deque[ClientRead] = field(default_factory=deque)
    #: Parts of reads whose TLPs have not come, each with its read.
    parts: deque[tuple[ClientRead, SentRead]] = field(default_factory=deque)
    writes: deque[ClientWrite] = field(default_factory=deque)
    #: Writes whose TLPs may still come.
    sent: deque[ClientWrite] = field(default_factory=deque)
