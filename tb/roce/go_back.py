"""What going back costs: frames that are lost, and the golden model on a wire that loses them."""

import random
from collections import Counter, deque
from dataclasses import replace

from sim.network import Link
from sim.roce import Engine, QueuePair, SendKind, SendQueuePair, SendRequest, Service, build

from .conversation import KEY, REGION

__all__ = ["CARD", "MTU", "PAIRS", "Losses", "Tally", "go_back", "is_answer", "write_request"]

#: Address of the only card there is. Its queue pairs n and n + 8 are each other's peers.
CARD = bytes([192, 0, 2, 1])
PAIRS = 8
MTU = 4096
_TAG = 0x81
_ANSWERS = range(0x0D, 0x13)


def is_answer(frame: bytes) -> bool:
    """Whether a frame is a response or an acknowledgement."""
    return frame[_bth(frame)] in _ANSWERS


def _bth(frame: bytes) -> int:
    """Place of the BTH in a frame of IPv4, which may have a tag."""
    return 14 + 4 * (frame[12] == _TAG) + 20 + 8


def write_request(number: int, length: int) -> SendRequest:
    """Make a WRITE of queue pair ``number``, of which no completion tells."""
    return SendRequest(
        0,
        SendKind.WRITE,
        gather=((KEY, REGION.base + number * (1 << 20), length),),
        remote_address=REGION.base + (1 << 31) + number * (1 << 20),
        remote_key=KEY,
        signalled=False,
    )


def _which(frame: bytes) -> tuple[int, int]:
    """Queue pair that a frame goes to, and its PSN."""
    bth = _bth(frame)
    number, psn = (int.from_bytes(frame[bth + n : bth + n + 3], "big") for n in (5, 9))
    return number, psn


class Losses:
    """Which requests are lost: the same ones, whoever sends them, and however often.

    A PSN is lost once at most: a second time nobody would tell of, and time would have to run out.

    Parameters
    ----------
    end : int
        Nothing is lost from this PSN on, so that there is always somebody who misses it.
    rate : float
        Of the requests that are sent, those behind a loss included, so many are lost.
    seed : int
    every : int
        Of each queue pair's requests one of so many is lost, when it is sent first; 0: none.

    Attributes
    ----------
    count : int
        How many were lost.
    """

    def __init__(self, *, end: int, rate: float = 0.0, seed: int = 0, every: int = 0):
        self._end, self._rate, self._seed, self._every = end, rate, seed, every
        self._sent: Counter[tuple[int, int]] = Counter()
        self._lost: set[tuple[int, int]] = set()

    @property
    def count(self) -> int:
        """How many were lost."""
        return len(self._lost)

    def __call__(self, frame: bytes) -> bool:
        """Whether a frame is lost now."""
        which = number, psn = _which(frame)
        if is_answer(frame) or psn >= self._end or which in self._lost:
            return False
        self._sent[which] += 1
        draw = random.Random(f"{self._seed} {number} {psn} {self._sent[which]}").random()
        # Not of all queue pairs at the same time.
        is_next = bool(self._every) and (psn + 7 * number + 1) % self._every == 0
        if draw < self._rate or (is_next and self._sent[which] == 1):
            self._lost.add(which)
            return True
        return False


class Tally:
    """Cycles used and needed of a wire, from its first request to its last.

    Needed are the beats of answers, and of requests, of each PSN once.

    Parameters
    ----------
    data_bytes : int
        Of a beat.
    """

    def __init__(self, data_bytes: int):
        self._data_bytes = data_bytes
        self._seen: set[tuple[int, int]] = set()
        self._answers = 0
        self._first: int | None = None
        self._last = 0
        self.needed = 0

    def count(self, frame: bytes, cycle: int) -> None:
        """Count a frame whose last beat is in ``cycle``."""
        beats = -(-len(frame) // self._data_bytes)
        if is_answer(frame):
            self._answers += beats
            return
        if self._first is None:
            self._first = cycle - beats
        self._last = cycle
        self.needed += self._answers
        self._answers = 0
        if _which(frame) not in self._seen:
            self._seen.add(_which(frame))
            self.needed += beats

    @property
    def used(self) -> int:
        """Cycles from the first beat to the last one."""
        return self._last - (self._first or 0)


def go_back(
    *, data_bytes: int, pairs: int, messages: int, length: int, delay: int, losses: Losses
) -> Tally:
    """Let the golden model send WRITEs to itself; give what that took.

    It takes no time: what comes is answered with the next beat. The wire has a beat in each cycle.
    Queue pairs take turns by packet; answers go first.

    Parameters
    ----------
    data_bytes : int
        Of a beat.
    pairs, messages, length : int
        So many queue pairs have so many WRITEs each of so many bytes.
    delay : int
        Cycles from a frame's last beat out to its last beat in.
    losses : Losses
    """
    card = Engine(CARD)
    card.keys.add(REGION)
    for n in range(2 * PAIRS):
        theirs = (n + PAIRS) % (2 * PAIRS)
        card.add(
            QueuePair(n, Service.RC, MTU, peer=CARD, peer_queue_pair=theirs),
            SendQueuePair(n, Service.RC, MTU, 0, CARD, theirs),
        )
    for n in range(pairs):
        for _ in range(messages):
            card.requester.post(n, write_request(n, length))
    link, tally = Link(seed=0, delay=delay), Tally(data_bytes)
    answers: deque[bytes] = deque()
    turns = deque(range(pairs))
    now = 0
    while True:
        for frame in link.arrivals(now):
            answers.extend(card.receive(frame, now))
        frame = answers.popleft() if answers else _next_frame(card, turns)
        if frame is None:
            arrival = link.next_arrival
            if arrival is None:
                return tally
            now = arrival
            continue
        now += -(-len(frame) // data_bytes)
        tally.count(frame, now)
        if not losses(frame):
            link.send(frame, now)


def _next_frame(card: Engine, turns: deque[int]) -> bytes | None:
    for _ in range(len(turns)):
        turns.rotate(-1)
        packet = next(card.requester.transmit(turns[0]), None)
        if packet is not None:
            return build(replace(packet, source=CARD))
    return None
