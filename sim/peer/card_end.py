"""The engine's end of a conversation."""

from collections.abc import Callable
from typing import Protocol

from ..roce import Completion, SendCompletion, SendRequest, Service
from ..roce.send_queue import Datagram
from .card import Card, Connection
from .end import BUFFER_BYTES, Arrived, End, Ended, Terms, Work
from .guest import Host
from .loop import Loop, StalledError

__all__ = ["CardEnd"]

_FIRST_NUMBER = 0x100
_FIRST_KEY = 0x4200
#: Indices of keys: as many regions as an engine has at least, 4 pages each.
_KEYS = 16
_WAIT_SECONDS = 8


class Numbered(Protocol):
    """Whoever has a queue pair."""

    number: int


class CardEnd(End):
    """Verbs of a card; a queue pair and key of its own for each conversation.

    Parameters
    ----------
    card : Card
    loop : Loop
    name : str
    peer : Host
        The other end of the wire.
    """

    def __init__(self, card: Card, *, loop: Loop, name: str, peer: Host):
        self.name = name
        self.card = card
        self._peer = peer
        self.address = card.memory_address
        self.key = _FIRST_KEY
        self.number = _FIRST_NUMBER
        self._opened = 0
        self._loop = loop
        self._ended: list[Ended | Arrived] = []
        self._terms: Terms | None = None
        self._peer_number = 0
        self._is_ready = False

    def open(self, terms: Terms) -> None:
        """Clear and register the buffer; choose a number for the queue pair."""
        self.number += 1
        # The index of the key in its upper 24 bits, one of some, and the 8 bits that change.
        self._opened += 1
        index, variant = self._opened % _KEYS, self._opened & 0xFF
        self.key = _FIRST_KEY + (index << 8) + variant
        self.card.write(self.address, bytes(BUFFER_BYTES))
        self.card.register(self.key, self.address, BUFFER_BYTES, terms.rights)

    def ready(self, terms: Terms, peer: Numbered) -> None:
        """Make the queue pair."""
        self._terms, self._peer_number, self._is_ready = terms, peer.number, True
        self.card.connect(
            self.number,
            Connection(
                service=terms.service,
                mtu=terms.mtu,
                psn=terms.psn(self.name),
                expected=terms.expected(self.name),
                peer=self._peer.address(terms.version),
                peer_queue_pair=peer.number,
                rights=terms.rights,
                q_key=terms.q_key,
                reads=terms.reads,
                timeout=terms.timeout_nanoseconds,
                retries=terms.retries,
                rnr_retries=terms.rnr_retries,
                rnr_timer=terms.rnr_timer,
            ),
        )

    def close(self) -> None:
        """Forget the queue pair, and what nobody asked about."""
        if self._is_ready:
            self.card.disconnect(self.number)
        self._is_ready = False
        self._collect()
        self._ended.clear()

    def ask(self, work: Work) -> None:
        """Post a work request."""
        assert self._terms is not None
        is_datagram = self._terms.service is Service.UD
        peer = self._peer.address(self._terms.version)
        piece = (self.key, self.address + work.offset, work.length)
        self.card.post(
            self.number,
            SendRequest(
                work.identifier,
                work.kind,
                gather=(piece,) if work.length else (),
                remote_address=work.address,
                remote_key=work.key,
                immediate=work.immediate,
                operand=work.operand,
                compare=work.compare,
                datagram=Datagram(peer, self._peer_number, self._terms.q_key)
                if is_datagram
                else None,
            ),
        )

    def await_message(self, identifier: int, offset: int, length: int) -> None:
        """Post a receive request."""
        self.card.post_receive(self.number, identifier, self.address + offset, length)

    def _collect(self) -> None:
        told: list[SendCompletion | Completion] = [*self.card.sent(), *self.card.received()]
        for one in told:
            if isinstance(one, SendCompletion):
                self._ended.append(Ended(one.identifier, one.status.name))
            elif one.status.name == "SUCCESS":
                self._ended.append(
                    Arrived(one.identifier, "SUCCESS", one.byte_length, one.immediate)
                )
            else:
                self._ended.append(Arrived(one.identifier, one.status.name))

    def poll(self, count: int, *, seconds: float) -> list[Ended | Arrived]:
        """Let the loop go on until ``count`` things have ended."""

        def enough() -> bool:
            self._collect()
            return len(self._ended) >= count

        try:
            self._loop.wait(enough, seconds=seconds, what="completions of the engine")
        except StalledError:
            count = len(self._ended)
        given, self._ended = self._ended[:count], self._ended[count:]
        return given

    def wait(self, condition: Callable[[], object], *, what: str) -> None:
        """Let the loop go on until ``condition`` holds, of memory for example."""
        self._loop.wait(condition, seconds=_WAIT_SECONDS, what=what)

    def read(self, offset: int, length: int) -> bytes:
        """Give what the buffer holds."""
        return self.card.read(self.address + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Put ``data`` into the buffer."""
        self.card.write(self.address + offset, data)
