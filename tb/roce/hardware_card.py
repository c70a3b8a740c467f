"""The hardware as a card of a conversation."""

from collections import deque
from typing import Any

import cocotb

from sim.network import Link
from sim.roce import Completion, QueuePair, ReceiveQueue, ReceiveRequest, SendQueuePair, SendRequest

from .conversation import REGION
from .engine_bed import EngineBed

__all__ = ["CYCLE", "HardwareCard", "talk"]

#: Nanoseconds of a cycle, for wires and for who is not hardware; 32 cycles are a tick.
CYCLE = 32
_TICK_CYCLES = 32
_POLL_CYCLES = 256
_FREE = (1 << 44) + (1 << 16)


class _Receives:
    """Requests of a receive queue: those that are appended are posted."""

    def __init__(self, card: "HardwareCard", queue: ReceiveQueue):
        self._card, self._queue = card, queue

    def append(self, request: ReceiveRequest) -> None:
        self._card.to_post.append((self._queue, request))

    def __len__(self) -> int:
        return 0


class _Passive:
    """What a conversation looks at of a responder."""

    def __init__(self, bed: EngineBed):
        self._bed = bed
        self.queue_pairs: dict[int, QueuePair] = {}

    @property
    def completions(self) -> list[Completion]:
        """All, of each queue pair in order."""
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
    def completions(self):
        """In order."""
        return self._bed.sends

    def post(self, number: int, request: SendRequest) -> None:
        """Post a work request."""
        self._bed.post_send(number, request)


class HardwareCard:
    """:class:`EngineBed` with what a :class:`Conversation` asks of a card."""

    def __init__(self, bed: EngineBed, address: bytes):
        self.bed, self.address = bed, address
        self.memory = bed.memory
        self.requester = _Active(bed)
        self.responder = _Passive(bed)
        self.to_post: deque[tuple[ReceiveQueue, ReceiveRequest]] = deque()
        self._pairs: list[tuple[QueuePair, SendQueuePair]] = []
        self._free = _FREE
        bed.set_cards(address)

    def place(self, length: int, offset: int) -> int:
        """Give an address at which nothing else is."""
        address = self._free + offset
        self._free += offset + length + 64
        return address

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
        while True:
            while self.to_post:
                await self.bed.post(*self.to_post.popleft())
            await self.bed.wait(8)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits that was posted or put in."""
        return not self.to_post and self.bed.i.is_idle


async def tick(dut: Any, bed: EngineBed) -> None:
    """Let the device's time go on."""
    while True:
        await bed.wait(_TICK_CYCLES - 1)
        dut.tick.value = 1
        await bed.wait(1)
        dut.tick.value = 0


async def talk(cards, links: list[Link], *, limit: int, is_over) -> None:
    """Let two cards talk, of which one or both are hardware, until ``is_over()``.

    ``links[n]`` is what card ``n`` sends to. ``limit`` is in cycles.

    Raises
    ------
    TimeoutError
        If they still talk then.
    """
    clock = next(card.bed for card in cards if isinstance(card, HardwareCard))
    for card, link in zip(cards, links, strict=True):
        if isinstance(card, HardwareCard):
            card.bed.on_frame = lambda frame, link=link: link.send(frame, clock.later.cycle * CYCLE)
    since = clock.later.cycle
    polled = since
    while True:
        now = clock.later.cycle * CYCLE
        for card, link, answers in zip(cards, links[::-1], links, strict=True):
            for frame in link.arrivals(now):
                if isinstance(card, HardwareCard):
                    card.bed.put(frame)
                    continue
                for answer in card.receive(frame, now):
                    answers.send(answer, now)
            if not isinstance(card, HardwareCard):
                for frame in card.transmit(now):
                    answers.send(frame, now)
        if clock.later.cycle - polled >= _POLL_CYCLES:
            polled = clock.later.cycle
            for card in cards:
                if isinstance(card, HardwareCard):
                    card.bed.poll()
            if is_over():
                return
            if clock.later.cycle - since > limit:
                raise TimeoutError(f"still talking after {limit} cycles")
        await clock.wait(4)
