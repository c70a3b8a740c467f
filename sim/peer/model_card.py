"""The golden model as a card."""

from collections.abc import Iterable, Iterator

from ..roce import (
    Completion,
    Engine,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Rights,
    SendCompletion,
    SendQueuePair,
    SendRequest,
)
from .card import Card, Connection

__all__ = ["ModelCard"]

_SPACE = 0
_PAGE_BYTES = 4096
_ADDRESSES_BYTES = 12


class ModelCard(Card):
    """:class:`sim.roce.Engine`, which has no Ethernet addresses, behind two of them.

    Parameters
    ----------
    mac, peer_mac : bytes
        Of the card, and of the only other one on the wire.
    addresses : list of bytes
        IP addresses of the card, one of each version at most.
    """

    memory_address = 1 << 44
    memory_bytes = 1 << 24

    def __init__(self, *, mac: bytes, peer_mac: bytes, addresses: Iterable[bytes]):
        self._head = peer_mac + mac
        self._mac = mac
        self.engine = Engine(*addresses)

    def _leaving(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        return (self._head + frame[_ADDRESSES_BYTES:] for frame in frames)

    def receive(self, frame: bytes, now: int) -> Iterable[bytes]:
        """Take a frame that came; give those that leave at once."""
        if not frame.startswith(self._mac):
            return ()
        return self._leaving(self.engine.receive(frame, now))

    def transmit(self, now: int) -> Iterable[bytes]:
        """Give the frames that may leave."""
        return self._leaving(self.engine.transmit(now))

    def deadline(self) -> int | None:
        """When :meth:`transmit` has something to do though no frame comes."""
        return self.engine.deadline()

    def register(self, key: int, address: int, length: int, rights: Rights) -> None:
        """Make memory known under ``key``."""
        first = address - address % _PAGE_BYTES
        pages = range(first, address + length, _PAGE_BYTES)
        self.engine.keys.add(
            Region(
                key,
                0,
                address,
                length,
                rights | Rights.LOCAL_WRITE,
                tuple((_SPACE, page) for page in pages),
                _PAGE_BYTES,
                address - first,
            )
        )

    def connect(self, number: int, connection: Connection) -> None:
        """Make both halves of a queue pair."""
        passive = QueuePair(
            number,
            connection.service,
            connection.mtu,
            expected=connection.expected,
            peer=connection.peer,
            peer_queue_pair=connection.peer_queue_pair,
            rights=connection.rights,
            receives=ReceiveQueue(),
            q_key=connection.q_key,
            resources=connection.reads,
            rnr_timer=connection.rnr_timer,
        )
        active = SendQueuePair(
            number,
            connection.service,
            connection.mtu,
            psn=connection.psn,
            peer=connection.peer,
            peer_queue_pair=connection.peer_queue_pair,
            q_key=connection.q_key,
            reads=connection.reads,
            timeout=connection.timeout,
            retries=connection.retries,
            rnr_retries=connection.rnr_retries,
        )
        self.engine.add(passive, active)

    def disconnect(self, number: int) -> None:
        """Forget both halves."""
        del self.engine.requester.queue_pairs[number]
        del self.engine.responder.queue_pairs[number]

    def post(self, number: int, request: SendRequest) -> None:
        """Append a work request."""
        self.engine.requester.post(number, request)

    def post_receive(self, number: int, identifier: int, address: int, length: int) -> None:
        """Append a receive request."""
        buffers = ((_SPACE, address, length),) if length else ()
        receives = self.engine.responder.queue_pairs[number].receives
        receives.requests.append(ReceiveRequest(identifier, buffers))

    def sent(self) -> list[SendCompletion]:
        """Work requests that have ended since."""
        ended = list(self.engine.requester.completions)
        self.engine.requester.completions.clear()
        return ended

    def received(self) -> list[Completion]:
        """Receive requests that have ended since."""
        ended = list(self.engine.responder.completions)
        self.engine.responder.completions.clear()
        return ended

    def read(self, address: int, length: int) -> bytes:
        """Give what memory holds."""
        return self.engine.memory.read(_SPACE, address, length)

    def write(self, address: int, data: bytes) -> None:
        """Put ``data`` into memory."""
        self.engine.memory.write(_SPACE, address, data)
