"""The hardware as a card of a conversation."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import cocotb

from sim.network import Link
from sim.roce import (
    Completion,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    SendCompletion,
    SendQueuePair,
    SendRequest,
)

from .conversation import COUNTERS, REGION
from .engine_bed import EngineBed

__all__ = ["CYCLE", "HardwareCard", "Wire", "tick"]

#: Nanoseconds of a cycle, for wires and for who is not hardware; 32 cycles are a tick.
CYCLE = 32
_TICK_CYCLES = 32
_POLL_CYCLES = 256
#: Nanoseconds for which a model's wire has enough to do.
_AHEAD = 8 * CYCLE
_FREE = COUNTERS + (1 << 16)
_COUNTER_BYTES = 1 << 12
_PART_BYTES = 1 << 33


class _Receives:
    """Requests of a receive queue: those that are appended are posted."""

    def __init__(self, card: "HardwareCard", queue: ReceiveQueue):
        self._card, self._queue = card, queue

    def append(self, request: ReceiveRequest) -> None:
        self._card.to_post.append((self._queue, request))
        self._card.has_posted = False

    def __len__(self) -> int:
        return 0


class _Passive:
    """What a conversation looks at of a responder."""

    def __init__(self, bed: EngineBed):
        self._bed = bed
        self.queue_pairs: dict[int, QueuePair] = {}

    @property
    def completions(self) -> list[Completion]:
        """Give all, of each queue pair in order."""
        return [one for queue in self._bed.completions.values() for one in queue]


class _ActivePair:
    """What a conversation looks at of a queue pair's active side."""

    started = ()

    def __init__(self, bed: EngineBed, number: int):
        self._bed, self._number = bed, number

    @property
    def waiting(self) -> deque[SendRequest]:
        """What waits for room in the ring."""
        return self._bed.work[self._number].waiting


class _Active:
    """What a conversation looks at of a requester."""

    def __init__(self, bed: EngineBed):
        self._bed = bed
        self.queue_pairs: dict[int, _ActivePair] = {}

    @property
    def completions(self) -> list[SendCompletion]:
        """Give those of its queue pairs, in order."""
        return [one for one in self._bed.sends if one.queue_pair in self.queue_pairs]

    def post(self, number: int, request: SendRequest) -> None:
        """Post a work request."""
        self._bed.post_send(number, request)


class HardwareCard:
    """:class:`EngineBed` with what a :class:`Conversation` asks of a card.

    Of ``parts`` cards that are the same device, each has queue pairs and memory of its own.
    """

    def __init__(self, bed: EngineBed, address: bytes, *, part: int = 0, parts: int = 1):
        self.bed, self.address = bed, address
        self._part, self._parts = part, parts
        self.counters = COUNTERS + part * _COUNTER_BYTES
        self.memory = bed.memory
        self.requester = _Active(bed)
        self.responder = _Passive(bed)
        self.to_post: deque[tuple[ReceiveQueue, ReceiveRequest]] = deque()
        self.has_posted = False
        self._pairs: list[tuple[QueuePair, SendQueuePair]] = []
        self._free = _FREE + part * _PART_BYTES
        bed.set_cards(address)

    def number(self, index: int) -> int:
        """Give the number of a queue pair."""
        return index * self._parts + self._part

    def place(self, length: int, offset: int) -> int:
        """Give an address at which nothing else is."""
        address = self._free + offset
        self._free += offset + length + 64
        return address

    def add_window(self, index: int) -> None:
        """Make a window known that is not bound."""
        self.bed.add_window(index)

    def add(self, passive: QueuePair, active: SendQueuePair) -> None:
        """Make a queue pair known: both halves of it."""
        self._pairs.append((passive, active))
        queue: Any = passive.receives
        queue.requests = _Receives(self, queue)
        self.responder.queue_pairs[passive.number] = passive
        self.requester.queue_pairs[active.number] = _ActivePair(self.bed, active.number)

    async def begin(self, **context: int) -> None:
        """Tell the device of its queue pairs and its region."""
        await self.bed.add(REGION)
        for passive, active in self._pairs:
            await self.bed.set_up(passive)
            await self.bed.set_up_send(active, **context)
        cocotb.start_soon(self._serve())

    async def _serve(self) -> None:
        """Post receive requests, no more than their queue has room for."""
        posted: Counter[int] = Counter()
        numbers = {id(p.receives): p.number for p, _ in self._pairs}
        while True:
            for _ in range(len(self.to_post)):
                queue, request = self.to_post.popleft()
                number = numbers[id(queue)]
                ended = sum(c.queue_pair == number for c in self.responder.completions)
                if posted[number] - ended < self.bed.config.receive_depth:
                    posted[number] += 1
                    await self.bed.post(queue, request)
                else:
                    self.to_post.append((queue, request))
            self.has_posted = True
            await self.bed.wait(64)


async def tick(dut: Any, bed: EngineBed) -> None:
    """Let the device's time go on."""
    while True:
        await bed.wait(_TICK_CYCLES - 1)
        dut.tick.value = 1
        await bed.wait(1)
        dut.tick.value = 0


class Wire:
    """What a device sends goes over ``links``, and comes to who is at their ends.

    A model sends as fast as its wire takes it, answers first: were all that it may send on the wire
    at once, that would take longer than the other side waits.

    Parameters
    ----------
    cards : two cards
        Of which one or both are hardware; or the same device is both.
    links : two of Link
        ``links[n]`` is what card ``n`` sends to.
    """

    def __init__(self, cards: Sequence[Any], links: Sequence[Link]):
        self.cards, self.links = cards, links
        self.beds = {id(c.bed): c.bed for c in cards if isinstance(c, HardwareCard)}
        self.clock = next(iter(self.beds.values()))
        self._answers: list[deque[bytes]] = [deque() for _ in cards]
        for card, link in zip(cards, links, strict=True):
            if isinstance(card, HardwareCard):
                card.bed.on_frame = lambda frame, link=link: link.send(frame, self.now)

    @property
    def now(self) -> int:
        """Time in nanoseconds."""
        return self.clock.later.cycle * CYCLE

    def step(self) -> None:
        """Give on what has arrived, and what models send."""
        now = self.now
        for card, link, own, answers in zip(
            self.cards, self.links[::-1], self.links, self._answers, strict=True
        ):
            is_model = not isinstance(card, HardwareCard)
            for frame in link.arrivals(now):
                if is_model:
                    answers.extend(card.receive(frame, now))
                else:
                    card.bed.put(frame)
            while is_model and own.idle_at <= now + _AHEAD:
                frame = answers.popleft() if answers else next(card.transmit(now), None)
                if frame is None:
                    break
                own.send(frame, now)

    async def talk(self, *, limit: int, is_over: Callable[[], bool]) -> None:
        """Let them talk until ``is_over()``, for ``limit`` cycles at most.

        Raises
        ------
        TimeoutError
            If they still talk then.
        """
        since = polled = self.clock.later.cycle
        while True:
            self.step()
            cycle = self.clock.later.cycle
            if cycle - polled >= _POLL_CYCLES:
                polled = cycle
                for bed in self.beds.values():
                    bed.poll()
                if is_over():
                    return
                if cycle - since > limit:
                    raise TimeoutError(f"still talking after {limit} cycles")
            await self.clock.wait(4)
