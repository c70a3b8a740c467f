"""One end of a conversation, the same for the engine and for Linux: verbs over a buffer."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..roce import Rights, SendKind, Service

__all__ = [
    "ALL_RIGHTS",
    "BUFFER_BYTES",
    "ENGINE",
    "LINUX",
    "Arrived",
    "End",
    "Ended",
    "Terms",
    "Work",
]

#: Names of the ends.
ENGINE, LINUX = "engine", "Linux"
#: Each end has one buffer, which is a region.
BUFFER_BYTES = 1 << 17
ALL_RIGHTS = Rights.WRITE | Rights.READ | Rights.ATOMIC


@dataclass(frozen=True)
class Terms:
    """What both ends of a conversation keep to.

    Parameters
    ----------
    service : Service
    mtu : int
        Path MTU.
    version : int
        Of IP: 4 or 6.
    psns : (int, int)
        First PSN of the engine, and of Linux.
    rights : Rights
        What the region that is reached from afar allows.
    timeout : int
        Code of the time without an answer: 4.096 us times two to this power.
    retries, rnr_retries : int
        How often that, or "no receive request", may happen without progress.
    rnr_timer : int
        Code of the time that "no receive request" asks to wait.
    reads : int
        READs and atomic operations that may be under way.
    q_key : int
        Of datagrams.
    """

    service: Service
    mtu: int
    version: int
    psns: tuple[int, int] = (0x1000, 0x2000)
    rights: Rights = ALL_RIGHTS
    timeout: int = 17
    retries: int = 7
    rnr_retries: int = 7
    rnr_timer: int = 14
    reads: int = 4
    q_key: int = 0x1122_3344

    def psn(self, name: str) -> int:
        """First PSN of the end of this name."""
        return self.psns[name == LINUX]

    def expected(self, name: str) -> int:
        """First PSN of its peer."""
        return self.psns[name != LINUX]

    @property
    def timeout_nanoseconds(self) -> int:
        """Time without an answer."""
        return 4096 << self.timeout


@dataclass(frozen=True)
class Work:
    """Work request. Offsets are those of the own buffer; addresses are the peer's."""

    identifier: int
    kind: SendKind
    offset: int
    length: int
    address: int = 0
    key: int = 0
    immediate: int | None = None
    operand: int = 0
    compare: int = 0


@dataclass(frozen=True)
class Ended:
    """A work request has ended; ``status`` is that of verbs: SUCCESS, REMOTE_ACCESS, ..."""

    identifier: int
    status: str


@dataclass(frozen=True)
class Arrived:
    """A receive request has ended."""

    identifier: int
    status: str
    length: int = 0
    immediate: int | None = None


class End(ABC):
    """Verbs of one end.

    Attributes
    ----------
    name : str
    address, key : int
        Of the buffer, as the peer names it.
    number : int
        Of the queue pair.
    """

    name: str
    address: int
    key: int
    number: int

    @abstractmethod
    def open(self, terms: Terms) -> None:
        """Make the buffer, all zero, known, and a queue pair."""

    @abstractmethod
    def ready(self, terms: Terms, peer: "End") -> None:
        """Join the queue pair to the one of ``peer``."""

    @abstractmethod
    def close(self) -> None:
        """Forget the queue pair."""

    @abstractmethod
    def ask(self, work: Work) -> None:
        """Post a work request."""

    @abstractmethod
    def await_message(self, identifier: int, offset: int, length: int) -> None:
        """Post a receive request."""

    @abstractmethod
    def poll(self, count: int, *, seconds: float) -> list[Ended | Arrived]:
        """``count`` things that have ended, or those that have within ``seconds``."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Give what the buffer holds."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Put ``data`` into the buffer."""
