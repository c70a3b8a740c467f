"""What a responder knows of a queue pair, and what it tells its owner."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from .memory import Region, Rights, pieces

__all__ = [
    "AtomicResult",
    "Completion",
    "CompletionStatus",
    "QueuePair",
    "QueuePairState",
    "ReadResource",
    "ReceiveQueue",
    "ReceiveRequest",
    "Service",
    "WriteProgress",
]


class Service(Enum):
    """Transport service: what its opcodes begin with."""

    RC = 0
    UC = 1
    UD = 3


class QueuePairState(Enum):
    """States in which a responder differs."""

    RESET = 0
    READY = 1  # RTR, RTS, SQD, SQE: what the requester does is not asked here
    ERROR = 2


class CompletionStatus(Enum):
    """How a receive request ended."""

    SUCCESS = 0
    LOCAL_LENGTH = 1  # the message was longer than its buffer
    REMOTE_INVALID_REQUEST = 2  # the rest of the message was not what it had to be
    REMOTE_ACCESS = 3  # it wrote, with immediate, where it must not
    FLUSHED = 4


@dataclass(frozen=True)
class ReceiveRequest:
    """Buffers, as space, address and length, for a message."""

    identifier: int
    buffers: tuple[tuple[int, int, int], ...] = ()

    @property
    def length(self) -> int:
        """Bytes of all buffers."""
        return sum(length for _, _, length in self.buffers)

    def spans(self, offset: int, length: int):
        """Space, address and length of each piece that ``length`` bytes from ``offset`` take."""
        return pieces(self.buffers, offset, length)


@dataclass
class ReceiveQueue:
    """Receive requests of a queue pair, or shared ones.

    Parameters
    ----------
    limit : int
        If it is not 0, fewer requests than this raise an event, once.
    is_shared : bool
        Acknowledgements then carry no credits.
    """

    limit: int = 0
    is_shared: bool = False
    requests: deque[ReceiveRequest] = field(default_factory=deque)


@dataclass(frozen=True)
class Completion:
    """Receive completion."""

    queue_pair: int
    identifier: int
    status: CompletionStatus
    byte_length: int = 0
    is_write: bool = False  # RDMA WRITE with immediate
    immediate: int | None = None
    invalidated: int | None = None
    source_queue_pair: int = 0
    solicited: bool = False
    has_route_header: bool = False


@dataclass
class WriteProgress:
    """An RDMA WRITE of which more packets will come."""

    region: Region | None
    address: int
    length: int
    done: int = 0


@dataclass(frozen=True)
class ReadResource:
    """A READ that is answered: its first PSN, how many, and where."""

    psn: int
    count: int
    region: Region | None
    address: int
    length: int


@dataclass(frozen=True)
class AtomicResult:
    """An atomic operation that may be asked for again."""

    psn: int
    original: int


@dataclass
class QueuePair:
    """Context of a queue pair, as far as the passive side goes.

    Parameters
    ----------
    number : int
        Queue pair number.
    service : Service
    mtu : int
        Path MTU: 256 to 4096 bytes of payload.
    expected : int
        PSN that comes next.
    peer : bytes
        IP address of the other side; of RC and UC.
    peer_queue_pair : int
        Queue pair that answers go to.
    domain : int
        Protection domain.
    rights : Rights
        What the peer may do at all.
    receives : ReceiveQueue
    p_key, q_key : int
        Partition; key of UD.
    resources : int
        Atomic operations that are remembered for repetition.
    rnr_timer : int
        Code of the time that a sender without a receive request is told to wait.
    """

    number: int
    service: Service
    mtu: int
    expected: int = 0
    peer: bytes = b""
    peer_queue_pair: int = 0
    domain: int = 0
    rights: Rights = Rights.WRITE | Rights.READ | Rights.ATOMIC
    receives: ReceiveQueue = field(default_factory=ReceiveQueue)
    p_key: int = 0xFFFF
    q_key: int = 0
    resources: int = 16
    rnr_timer: int = 0
    state: QueuePairState = QueuePairState.READY

    # Time from which on a CNP may be sent again.
    next_cnp: int = 0

    # Of the responder: message sequence number; what was refused and not yet seen again; the
    # message that goes on.
    msn: int = 0
    refused: bool = False
    operation: str = ""  # "SEND" or "RDMA_WRITE" between its first and its last packet
    receive: ReceiveRequest | None = None
    received: int = 0
    write: WriteProgress | None = None
    memory: deque[AtomicResult] = field(default_factory=deque)
