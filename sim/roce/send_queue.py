"""What a requester is asked for, what it knows of a queue pair, and what it tells its owner."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from .memory import WindowBinding
from .queue_pair import Service

__all__ = [
    "Datagram",
    "ReadPart",
    "SendCompletion",
    "SendKind",
    "SendQueuePair",
    "SendRequest",
    "SendState",
    "SendStatus",
    "Started",
]


class SendKind(Enum):
    """Operations of a work request (IBTA volume 1, 11.4.1.1)."""

    SEND = 0
    WRITE = 1
    READ = 2
    COMPARE_SWAP = 3
    FETCH_ADD = 4
    #: A local key, or a window's, is no more.
    INVALIDATE = 5
    #: A memory window of type 2 is bound.
    BIND = 6

    @property
    def is_local(self) -> bool:
        """Nothing is sent."""
        return self in (SendKind.INVALIDATE, SendKind.BIND)

    @property
    def has_response(self) -> bool:
        """Data come back: an acknowledgement is not enough."""
        return self in (SendKind.READ, SendKind.COMPARE_SWAP, SendKind.FETCH_ADD)

    @property
    def is_atomic(self) -> bool:
        """Reads and changes 8 bytes."""
        return self in (SendKind.COMPARE_SWAP, SendKind.FETCH_ADD)


class SendState(Enum):
    """States in which a requester differs."""

    RESET = 0
    READY = 1
    ERROR = 2


class SendStatus(Enum):
    """How a work request ended (IBTA volume 1, 11.6.2)."""

    SUCCESS = 0
    LOCAL_LENGTH = 1  # more than a message may have, or than a datagram
    LOCAL_OPERATION = 2  # not of this service, or no operation at all
    LOCAL_PROTECTION = 3  # a local key, its bounds or rights
    BIND = 4  # a window that may not be bound so
    FLUSHED = 5
    REMOTE_INVALID_REQUEST = 6
    REMOTE_ACCESS = 7
    REMOTE_OPERATION = 8
    RETRY_EXCEEDED = 9
    RNR_RETRY_EXCEEDED = 10


@dataclass(frozen=True)
class Datagram:
    """Where a datagram goes: IP address, queue pair, and its key."""

    peer: bytes
    queue_pair: int
    q_key: int


@dataclass(frozen=True)
class SendRequest:
    """Work request.

    Parameters
    ----------
    identifier : int
    kind : SendKind
    gather : tuple of (int, int, int)
        Local key, address and length of each piece: what is sent, or where data that are read go.
    inline : bytes, optional
        What is sent, instead of ``gather``.
    remote_address, remote_key : int
        Of WRITE, READ and atomic operations.
    immediate, invalidate : int, optional
        Immediate data of a SEND or WRITE; key that a SEND, or INVALIDATE, invalidates.
    operand, compare : int
        Of atomic operations: what is added or swapped in; what it is compared with.
    signalled : bool
        A completion tells of its success.
    fence : bool
        Waits until READs and atomic operations before it have ended.
    solicited : bool
        The peer's completion is to raise an event.
    datagram : Datagram, optional
        Of UD.
    window : WindowBinding, optional
        Of BIND.
    """

    identifier: int
    kind: SendKind
    gather: tuple[tuple[int, int, int], ...] = ()
    inline: bytes | None = None
    remote_address: int = 0
    remote_key: int = 0
    immediate: int | None = None
    invalidate: int | None = None
    operand: int = 0
    compare: int = 0
    signalled: bool = True
    fence: bool = False
    solicited: bool = False
    datagram: Datagram | None = None
    window: WindowBinding | None = None

    @property
    def length(self) -> int:
        """Bytes that are sent, or read."""
        if self.inline is not None:
            return len(self.inline)
        return sum(length for _, _, length in self.gather)


@dataclass(frozen=True)
class ReadPart(SendRequest):
    """A READ of one piece of ``whole``, which has several: the first, the last, or another."""

    whole: SendRequest | None = None
    is_first: bool = False
    is_last: bool = False


@dataclass(frozen=True)
class SendCompletion:
    """Completion of a work request."""

    queue_pair: int
    identifier: int
    kind: SendKind
    status: SendStatus
    byte_length: int = 0


@dataclass
class Started:
    """A work request that was begun, in PSNs that do not wrap.

    ``first`` and ``count`` are its PSNs, those of its responses included; ``done`` of them have
    been acknowledged, or answered.
    """

    request: SendRequest
    first: int
    count: int
    sequence: int
    done: int = 0
    status: SendStatus = SendStatus.SUCCESS

    @property
    def end(self) -> int:
        """PSN behind its last one."""
        return self.first + self.count

    @property
    def has_ended(self) -> bool:
        """All of it was acknowledged, or there was nothing to acknowledge."""
        return self.done == self.count


@dataclass
class SendQueuePair:
    """Context of a queue pair, as far as the active side goes.

    Parameters
    ----------
    number : int
        Queue pair number.
    service : Service
    mtu : int
        Path MTU: 256 to 4096 bytes of payload.
    psn : int
        PSN of the first packet.
    peer, peer_queue_pair : bytes, int
        IP address and queue pair of the other side; of RC and UC.
    domain : int
        Protection domain.
    p_key, q_key : int
        Partition; the queue pair's own key, of UD.
    reads : int
        READs and atomic operations that may be under way.
    window : int
        Packets that may be under way; PSNs from the oldest one that is not acknowledged.
    timeout : int
        Time without an answer after which packets are sent again; 0 for never.
    retries, rnr_retries : int
        How often that, or a NAK, may happen without progress; how often the peer may say that it
        has no receive request, 7 for always.
    has_credits : bool
        The peer's acknowledgements say how many receive requests it has left.
    migrated : bool
        MigReq of every packet: set where there is no path migration (17.2.8), but by Soft-RoCE.
    """

    number: int
    service: Service
    mtu: int
    psn: int = 0
    peer: bytes = b""
    peer_queue_pair: int = 0
    domain: int = 0
    p_key: int = 0xFFFF
    q_key: int = 0
    reads: int = 16
    window: int = 1 << 22
    timeout: int = 0
    retries: int = 7
    rnr_retries: int = 7
    has_credits: bool = False
    migrated: bool = True
    state: SendState = SendState.READY

    waiting: deque[SendRequest] = field(default_factory=deque)
    started: deque[Started] = field(default_factory=deque)
    # PSNs that do not wrap: to be sent next; behind what was ever sent; behind what was begun.
    pointer: int = 0
    highest: int = 0
    end: int = 0
    # Work requests begun, and how many of them the peer's credits allow.
    sequence: int = 0
    allowed: int = 0
    retries_left: int = 0
    rnr_retries_left: int = 0
    deadline: int | None = None  # of the oldest packet's acknowledgement
    resumes: int = 0  # after an RNR NAK: nothing is sent before
    is_recovering: bool = False  # sends again since a NAK, without progress so far

    def __post_init__(self):
        self.pointer = self.highest = self.end = self.psn
        self.retries_left = self.retries
        self.rnr_retries_left = self.rnr_retries

    @property
    def oldest(self) -> int:
        """PSN, without wrap, that is to be acknowledged or answered next."""
        for entry in self.started:
            if not entry.has_ended:
                return entry.first + entry.done
        return self.end
