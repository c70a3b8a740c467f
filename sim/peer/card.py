"""What an engine has to do to meet the guest: frames in and out, and what its driver asks of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from ..roce import Completion, Rights, SendCompletion, SendRequest, Service
from .packages import PeerError

__all__ = ["Card", "CardLostError", "Connection"]


class CardLostError(PeerError):
    """The engine does not do anything any more."""


@dataclass(frozen=True)
class Connection:
    """A queue pair that is ready, and its peer.

    Parameters
    ----------
    service : Service
    mtu : int
        Path MTU: 256 to 4096 bytes of payload.
    psn, expected : int
        PSN of the first packet, and of the first one of the peer.
    peer, peer_queue_pair : bytes, int
        IP address, of 4 or 16 bytes, and queue pair of the peer; of RC and UC.
    rights : Rights
        What the peer may do at all.
    q_key : int
        Of UD.
    reads : int
        READs and atomic operations that may be under way, either way.
    timeout : int
        Nanoseconds without an answer after which packets are sent again.
    retries, rnr_retries : int
        How often that may happen without progress; 7 RNR retries for always.
    rnr_timer : int
        Code of the time that a sender without a receive request is told to wait.
    """

    service: Service
    mtu: int
    psn: int
    expected: int
    peer: bytes
    peer_queue_pair: int
    rights: Rights
    q_key: int
    reads: int
    timeout: int
    retries: int
    rnr_retries: int
    rnr_timer: int


class Card(ABC):
    """An engine and its driver, without threads: it goes on when it is called.

    Frames are whole, without FCS. Time is in nanoseconds of the guest's clock, which does not wait:
    an engine that is simulated slowly asks for long timeouts, not for another time.
    """

    #: Memory that regions may lie in: first byte, which begins a page, and how many.
    memory_address: int
    memory_bytes: int

    def close(self) -> None:
        """End what stands behind it: nothing is asked of it any more."""
        return

    # Frames.

    @abstractmethod
    def receive(self, frame: bytes, now: int) -> Iterable[bytes]:
        """Take a frame that came; give those that leave at once."""

    @abstractmethod
    def transmit(self, now: int) -> Iterable[bytes]:
        """Go on for a short while; give the frames that leave."""

    @abstractmethod
    def deadline(self) -> int | None:
        """When :meth:`transmit` has something to do though no frame comes; None for never.

        An engine that is busy says that it is now.
        """

    # Driver.

    @abstractmethod
    def register(self, key: int, address: int, length: int, rights: Rights) -> None:
        """Make memory known to the peer under ``key``; what the key was known for is no more."""

    @abstractmethod
    def connect(self, number: int, connection: Connection) -> None:
        """Make a queue pair, ready to send and to receive; one of the same number is no more."""

    @abstractmethod
    def disconnect(self, number: int) -> None:
        """Forget a queue pair and what it was asked for."""

    @abstractmethod
    def post(self, number: int, request: SendRequest) -> None:
        """Ask for something to be sent; pieces name their region's key, and its addresses."""

    @abstractmethod
    def post_receive(self, number: int, identifier: int, address: int, length: int) -> None:
        """Give a buffer for a message that comes."""

    @abstractmethod
    def sent(self) -> list[SendCompletion]:
        """Work requests that have ended since this was asked last."""

    @abstractmethod
    def received(self) -> list[Completion]:
        """Receive requests that have ended since this was asked last."""

    # Memory, past the engine.

    @abstractmethod
    def read(self, address: int, length: int) -> bytes:
        """Give what memory holds."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Put ``data`` into memory."""
