"""A file from one Verilated engine to another, across a wire that loses some of it."""

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from sim.network import Faults, Link
from sim.peer import CARD, GUEST, Card
from sim.peer.card import Connection
from sim.roce import Rights, SendKind, SendRequest, Service
from tb.peer import VerilatedCard

from .waiting import Waiting

__all__ = ["Moved", "move"]

_KEY = 0x100
_NUMBER = 1
_CHUNK_BYTES = 1 << 15
#: Nanoseconds: of the clock on the wall, for the engines are as slow as their simulators.
_TIMEOUT = 100_000_000
_MOST_SECONDS = 240


@dataclass(frozen=True)
class Moved:
    """What came of it: whether all bytes are there, and what the wire did to the frames."""

    is_right: bool
    fates: Counter[str]
    cycles: int
    seconds: float


def move(data: bytes, *, loss: float, seed: int = 1) -> Moved:
    """Let one engine write ``data`` into the memory behind another.

    Each frame is lost with a chance of ``loss``, and as often damaged, on either way.

    Raises
    ------
    TimeoutError
        If it takes minutes.
    """
    with ExitStack() as stack, Waiting() as waiting:
        waiting.show("building two engines")
        cards = [
            stack.enter_context(_Closing(VerilatedCard(is_guest=is_guest)))
            for is_guest in (False, True)
        ]
        begun = time.monotonic()
        faults = Faults(drop=loss, corrupt=loss)
        links = [Link(seed=seed + n, faults=faults) for n in range(2)]
        for card, host in zip(cards, (GUEST, CARD), strict=True):
            place = card.memory_address
            card.register(_KEY, place, len(data), Rights.WRITE | Rights.READ)
            card.connect(_NUMBER, _connection(host.address_4))
        cards[0].write(cards[0].memory_address, data)
        cards[1].post_receive(_NUMBER, 0, cards[1].memory_address, 0)
        for request in _requests(cards, len(data)):
            cards[0].post(_NUMBER, request)
        arrived = 0
        while not arrived:
            if time.monotonic() - begun > _MOST_SECONDS:
                raise TimeoutError("the file did not arrive")
            _carry(cards, links)
            arrived += len(cards[1].received())
            waiting.show("frames on the wire", sum(link.fates["sent"] for link in links))
        found = cards[1].read(cards[1].memory_address, len(data))
        cycles = max(card.cycles for card in cards)
    return Moved(
        found == data,
        sum((link.fates for link in links), Counter()),
        cycles,
        time.monotonic() - begun,
    )


class _Closing:
    """A card that is closed at the end."""

    def __init__(self, card: VerilatedCard):
        self.card = card

    def __enter__(self) -> VerilatedCard:
        return self.card

    def __exit__(self, *_):
        self.card.close()


def _connection(peer: bytes) -> Connection:
    return Connection(
        service=Service.RC,
        mtu=1024,
        psn=0,
        expected=0,
        peer=peer,
        peer_queue_pair=_NUMBER,
        rights=Rights.WRITE | Rights.READ,
        q_key=0,
        reads=1,
        timeout=_TIMEOUT,
        retries=7,
        rnr_retries=7,
        rnr_timer=1,
    )


def _requests(cards: list[VerilatedCard], size: int) -> list[SendRequest]:
    """Make WRITEs of all the data; the last one tells the other side."""
    requests = []
    for first in range(0, size, _CHUNK_BYTES):
        length = min(_CHUNK_BYTES, size - first)
        is_last = first + length == size
        requests.append(
            SendRequest(
                first,
                SendKind.WRITE,
                gather=((_KEY, cards[0].memory_address + first, length),),
                remote_address=cards[1].memory_address + first,
                remote_key=_KEY,
                immediate=0 if is_last else None,
            )
        )
    return requests


def _carry(cards: list[VerilatedCard], links: list[Link]) -> None:
    """Let both go on, and carry what they send."""
    now = time.monotonic_ns()
    others: list[Card] = [*cards[::-1]]
    for card, other, link in zip(cards, others, links, strict=True):
        for frame in card.transmit(now):
            link.send(frame, now)
        for frame in link.arrivals(now):
            other.receive(frame, now)
