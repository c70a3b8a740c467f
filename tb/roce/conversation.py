"""Two cards that ask each other for things over a wire with faults."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from sim.network import Link
from sim.roce import (
    CompletionStatus,
    Engine,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Rights,
    SendKind,
    SendQueuePair,
    SendRequest,
    Service,
    WindowBinding,
)

__all__ = ["ADDRESSES", "COUNTERS", "KEY", "REGION", "Card", "Conversation", "converse"]

#: Of the two cards.
ADDRESSES = [bytes([192, 0, 2, n + 1]) for n in range(2)]

KEY = 0x4200
_BASE = 1 << 44
_BYTES = 1 << 34
_PAGE_BYTES = 1 << 30
COUNTERS = _BASE
_FREE = _BASE + (1 << 16)
_RIGHTS = Rights.WRITE | Rights.READ | Rights.ATOMIC | Rights.LOCAL_WRITE | Rights.BIND
#: What each card lets the other do: everything in 16 GiB.
REGION = Region(
    KEY,
    0,
    _BASE,
    _BYTES,
    _RIGHTS,
    tuple((0, _BASE + n * _PAGE_BYTES) for n in range(_BYTES // _PAGE_BYTES)),
    _PAGE_BYTES,
)
_SENDS = {SendKind.SEND, SendKind.WRITE}
#: Longest that an entry of a work queue can ask for.
_WINDOW_BYTES = 1 << 31
#: Windows of a card.
_WINDOWS = 16


def converse(cards: Sequence[Engine], links: Sequence[Link], *, limit: int, now: int = 0) -> int:
    """Let two cards talk until nothing is under way and nobody waits; return the time.

    ``links[n]`` is what card ``n`` sends to.

    Raises
    ------
    TimeoutError
        If they still talk at ``limit``.
    """
    while True:
        for card, link in zip(cards, links, strict=True):
            for frame in card.transmit(now):
                link.send(frame, now)
        times = [link.next_arrival for link in links] + [card.deadline() for card in cards]
        coming = [time for time in times if time is not None]
        if not coming:
            return now
        now = max(now, min(coming))
        if now > limit:
            raise TimeoutError(f"still talking after {limit} ns")
        for card, link, answers in zip(cards[::-1], links, links[::-1], strict=True):
            for frame in link.arrivals(now):
                for answer in card.receive(frame, now):
                    answers.send(answer, now)


@dataclass
class _Wanted:
    """What a work request is to leave behind: memory of either card."""

    number: int
    request: SendRequest
    places: list[tuple[int, int, bytes]] = field(default_factory=list)


class Card(Engine):
    """A card with one large region, of which each work request gets a piece of its own."""

    def __init__(self, address: bytes):
        super().__init__(address)
        self.keys.add(REGION)
        self._free = _FREE

    #: Where its counters for atomic operations are, 8 bytes for each queue pair.
    counters = COUNTERS

    def number(self, index: int) -> int:
        """Give the number of a queue pair."""
        return index

    def place(self, length: int, offset: int) -> int:
        """Give an address at which nothing else is."""
        address = self._free + offset
        self._free += offset + length + 64
        return address

    def add_window(self, index: int) -> None:
        """Make a window known that is not bound."""
        self.keys.add_window(index, 0)


class Conversation:
    """Random work requests of both cards, and what they are to leave behind.

    Parameters
    ----------
    seed : int
    services : list of Service
        Of each queue pair.
    cards : sequence of two cards, optional
        Who talks; two models.
    read_pieces : int
        Most pieces of a READ's list.
    fields : mapping
        Of every :class:`SendQueuePair`, besides.
    """

    def __init__(
        self,
        seed: int,
        services: list[Service],
        *,
        cards: Sequence[Any] | None = None,
        read_pieces: int = 16,
        **fields,
    ):
        self.random = random.Random(seed)
        self.cards = list(cards) if cards else [Card(ADDRESSES[n]) for n in range(2)]
        self.read_pieces = read_pieces
        self.services = services
        self.wanted: list[list[_Wanted]] = [[], []]
        self.counts = [[0] * len(services) for _ in range(2)]
        #: Of each card, keys of windows that are bound, by queue pair.
        self.windows: list[dict[int, int]] = [{}, {}]
        self.numbers = [[card.number(n) for n in range(len(services))] for card in self.cards]
        for index, service in enumerate(services):
            mtu = self.random.choice([256, 512, 1024, 2048, 4096])
            psns = [self.random.choice([5, (1 << 24) - 3]) for _ in range(2)]
            for mine, (card, peer) in enumerate([(*self.cards,), (*self.cards[::-1],)]):
                number, theirs = self.numbers[mine][index], self.numbers[1 - mine][index]
                passive = QueuePair(
                    number,
                    service,
                    mtu,
                    expected=psns[1 - mine],
                    peer=peer.address,
                    peer_queue_pair=theirs,
                    receives=ReceiveQueue(),
                    rnr_timer=1,
                )
                active = SendQueuePair(
                    number, service, mtu, psns[mine], peer.address, theirs, **fields
                )
                card.add(passive, active)

    def bind(self, mine: int, number: int) -> None:
        """Post that a window is bound: to memory of which the other side will ask for pieces."""
        card = self.cards[mine]
        index = _WINDOWS * mine + number
        card.add_window(index)
        key = self.windows[mine][number] = index << 8 | self.random.randrange(256)
        rights = Rights.WRITE | Rights.READ
        window = WindowBinding(KEY, key, card.place(0, 0), _WINDOW_BYTES, rights)
        self._post(mine, number, SendKind.BIND, window=window)

    def unbind(self, mine: int, number: int) -> int:
        """Post that a window is invalidated; give its key."""
        key = self.windows[mine].pop(number)
        self._post(mine, number, SendKind.INVALIDATE, invalidate=key)
        return key

    def _post(self, mine: int, number: int, kind: SendKind, **fields: Any) -> None:
        request = SendRequest(len(self.wanted[mine]), kind, **fields)
        self.wanted[mine].append(_Wanted(number, request))
        self.cards[mine].requester.post(self.numbers[mine][number], request)

    def ask(self, mine: int, number: int, kind: SendKind, length: int, **fields) -> None:
        """Post a work request of ``length`` bytes, and what it needs at the other side.

        ``fields`` are those of the work request that are not as it happens.
        """
        card, peer, rng = self.cards[mine], self.cards[1 - mine], self.random
        wanted = self.wanted[mine]
        if kind.is_atomic:
            self._ask_atomic(mine, number)
            return
        data = rng.randbytes(length)
        pieces, rest = [], length
        most = self.read_pieces if kind is SendKind.READ else 16
        while rest and len(pieces) < most - 1 and rng.random() < 0.5:
            pieces.append(rng.randint(1, rest))
            rest -= pieces[-1]
        pieces += [rest] if rest else []
        spans = [(card.place(size, rng.randrange(64)), size) for size in pieces]
        remote = peer.place(length, rng.randrange(64))
        gather = tuple((KEY, place, size) for place, size in spans)
        offsets = [sum(pieces[:n]) for n in range(len(pieces))]
        local = [
            (mine, place, data[offset : offset + size])
            for (place, size), offset in zip(spans, offsets, strict=True)
        ]
        if kind is SendKind.READ:
            peer.memory.write(0, remote, data)
            left = local
        else:
            for _, place, part in local:
                card.memory.write(0, place, part)
            left = [(1 - mine, remote, data)]
        immediate = rng.getrandbits(32) if kind in _SENDS and rng.random() < 0.3 else None
        if kind is SendKind.SEND or immediate is not None:
            self._receive(1 - mine, number, remote, length if kind is SendKind.SEND else 0)
        request = SendRequest(
            identifier=len(wanted),
            kind=kind,
            gather=gather,
            remote_address=remote,
            remote_key=rng.choice([KEY, self.windows[1 - mine].get(number, KEY)]),
            immediate=immediate,
            signalled=rng.random() < 0.7,
            fence=rng.random() < 0.2,
        )
        request = replace(request, **fields)
        wanted.append(_Wanted(number, request, left))
        card.requester.post(self.numbers[mine][number], request)

    def _receive(self, owner: int, number: int, place: int, length: int) -> None:
        queue = self.cards[owner].responder.queue_pairs[self.numbers[owner][number]].receives
        buffers = ((0, place, length),) if length else ()
        queue.requests.append(ReceiveRequest(place, buffers))

    def _ask_atomic(self, mine: int, number: int) -> None:
        card = self.cards[mine]
        count = self.counts[mine][number]
        self.counts[mine][number] += 1
        place = card.place(16, 0) + 7 & ~7
        # Each adds 1 to a counter of the queue pair, or swaps in one more if it finds the last.
        adds = self.random.random() < 0.5
        request = SendRequest(
            identifier=len(self.wanted[mine]),
            kind=SendKind.FETCH_ADD if adds else SendKind.COMPARE_SWAP,
            gather=((KEY, place, 8),),
            remote_address=self.cards[1 - mine].counters + 8 * number,
            remote_key=KEY,
            operand=1 if adds else count + 1,
            compare=count,
        )
        found = [(mine, place, count.to_bytes(8, "little"))]
        self.wanted[mine].append(_Wanted(number, request, found))
        card.requester.post(self.numbers[mine][number], request)

    def check(self) -> None:
        """Everything happened once, in order, and memory is what it is to be."""
        for mine, card in enumerate(self.cards):
            for number in range(len(self.services)):
                asked = [w for w in self.wanted[mine] if w.number == number]
                own = self.numbers[mine][number]
                told = [c for c in card.requester.completions if c.queue_pair == own]
                failed = [c for c in told if c.status.name != "SUCCESS"]
                assert not failed, f"card {mine}: {failed[:3]}"
                wanted = [w.request.identifier for w in asked if w.request.signalled]
                pairs = zip_longest([c.identifier for c in told], wanted)
                wrong = next((p for p in enumerate(pairs) if p[1][0] != p[1][1]), None)
                assert wrong is None, f"card {mine}, queue pair {number}: told, asked {wrong}"
                queue_pair = card.requester.queue_pairs[own]
                assert not queue_pair.started
                assert not queue_pair.waiting
                self._check_received(mine, number)
                peer = self.cards[1 - mine]
                counter = peer.memory.read(0, peer.counters + 8 * number, 8)
                assert int.from_bytes(counter, "little") == self.counts[mine][number]
            for wanted in self.wanted[mine]:
                for owner, place, data in wanted.places:
                    assert self.cards[owner].memory.read(0, place, len(data)) == data, wanted

    def _check_received(self, mine: int, number: int) -> None:
        """Check that the other card was told of each SEND, and WRITE with immediate, in order."""
        peer = self.cards[1 - mine]
        theirs = self.numbers[1 - mine][number]
        told = [c for c in peer.responder.completions if c.queue_pair == theirs]
        asked = [
            w.request
            for w in self.wanted[mine]
            if w.number == number
            and (w.request.kind is SendKind.SEND or w.request.immediate is not None)
        ]
        assert [(c.status, c.identifier, c.byte_length, c.is_write, c.immediate) for c in told] == [
            (
                CompletionStatus.SUCCESS,
                request.remote_address,
                request.length,
                request.kind is SendKind.WRITE,
                request.immediate,
            )
            for request in asked
        ]
        assert not peer.responder.queue_pairs[theirs].receives.requests
