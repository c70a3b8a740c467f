"""Two queue pairs of the same device that ask each other for everything there is, again and again.

Each exchange has queue pairs set up anew, work requests of every kind at both sides, and what they
are to leave behind. Frames pass a wire of each pair's own, one for each direction, so that the
fate of a frame is chosen by its number in the exchange.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import cocotb

from sim.network import Link
from sim.roce import (
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    SendCompletion,
    SendKind,
    SendQueuePair,
    SendRequest,
    SendStatus,
    Service,
)

from .conversation import ADDRESSES, COUNTERS, KEY, REGION
from .engine_bed import EngineBed

__all__ = ["MSHIFT", "Exchange", "Pair", "Plan", "Script", "World", "random_script", "short_script"]

MSHIFT = 8
_MTU = 1 << MSHIFT
_PSNS = 1 << 24
_FREE = COUNTERS + (1 << 20)
#: Nanoseconds, which are cycles here: how long a frame is on its way.
_DELAY = 60
#: 4 * 2 ** 9 ticks, each a cycle, without progress; 160 of them after an RNR NAK.
_TIMEOUT, _RNR_TIMER = 9, 8
_LATE_RECEIVES = 400

#: Kind and length of each work request, and whether it has immediate data, and a fence.
Script = list[tuple[SendKind, int, bool, bool]]


def short_script() -> Script:
    """Give one of each kind, of several packets where there may be several."""
    return [
        (SendKind.WRITE, 2 * _MTU + 1, False, False),
        (SendKind.READ, 2 * _MTU + 8, False, False),
        (SendKind.FETCH_ADD, 8, False, False),
        (SendKind.SEND, _MTU + 1, True, False),
        (SendKind.READ, 16, False, False),
        (SendKind.FETCH_ADD, 8, False, True),
        (SendKind.WRITE, 1, True, False),
    ]


def random_script(rng: random.Random, count: int) -> Script:
    """Draw ``count`` of them."""
    kinds = [SendKind.SEND, SendKind.WRITE, SendKind.READ, SendKind.FETCH_ADD]
    return [
        (
            kind := rng.choice(kinds),
            8 if kind.is_atomic else rng.choice([0, 1, _MTU, rng.randint(1, 6 * _MTU)]),
            kind in kinds[:2] and rng.random() < 0.4,
            rng.random() < 0.2,
        )
        for _ in range(count)
    ]


@dataclass(frozen=True)
class Plan:
    """How an exchange goes.

    Parameters
    ----------
    scripts : two of Script
        What each side asks for.
    drops : two of collection of int
        Numbers of frames to the first queue pair that are lost, and of those to the second.
    has_credits : bool
    is_late : bool
        Receive requests are posted some time after the first message that needs one.
    """

    scripts: tuple[Script, Script]
    drops: tuple[Collection[int], Collection[int]] = ((), ())
    has_credits: bool = False
    is_late: bool = False


@dataclass
class Pair:
    """Numbers of two queue pairs, and their receive queues, which they keep."""

    numbers: tuple[int, int]
    receives: tuple[ReceiveQueue, ReceiveQueue] = field(
        default_factory=lambda: (ReceiveQueue(), ReceiveQueue())
    )


class World:
    """The device, with all that it sends coming back to it by the wires of exchanges.

    Parameters
    ----------
    bed : EngineBed

    Attributes
    ----------
    links : dict of int to Link
        By the queue pair that a frame goes to.
    on_frame : callable
        Looks at each frame, with the queue pair that it goes to.
    """

    def __init__(self, bed: EngineBed):
        self.bed = bed
        self.links: dict[int, Link] = {}
        self.on_frame: Callable[[int, bytes], None] = lambda number, frame: None
        self.refused: list[bytes] = []
        self._free = _FREE
        bed.set_cards(ADDRESSES[0])
        bed.on_frame = self._route

    def _route(self, frame: bytes) -> None:
        bth = 46 if frame[12] == 0x81 else 42
        number = int.from_bytes(frame[bth + 5 : bth + 8], "big")
        self.on_frame(number, frame)
        link = self.links.get(number)
        if link is not None:
            link.send(frame, self.bed.later.cycle)

    async def deliver(self) -> None:
        """Give on what has arrived, for ever; take completions."""
        polled = 0
        while True:
            now = self.bed.later.cycle
            for link in list(self.links.values()):
                for frame in link.arrivals(now):
                    self.bed.put(frame)
            if now - polled >= 200:
                polled = now
                self.bed.poll()
            await self.bed.wait(4)

    def place(self, length: int) -> int:
        """Give an address at which nothing else is."""
        address = self._free + random.randrange(16) * 4
        self._free += -(-length // 64) * 64 + 128
        return address

    async def begin(self) -> None:
        """Make the region known, and let frames pass."""
        await self.bed.add(REGION)
        cocotb.start_soon(self.deliver())


@dataclass
class _Side:
    """One side of an exchange, what it asked for, and what that is to leave behind."""

    number: int
    psn: int
    counter: int
    requests: list[SendRequest] = field(default_factory=list)
    places: list[tuple[int, bytes]] = field(default_factory=list)
    receives: list[ReceiveRequest] = field(default_factory=list)
    #: Length and immediate data of each completion at the other side.
    told: list[tuple[int, bool, int | None]] = field(default_factory=list)
    added: int = 0


class Exchange:
    """One exchange of a pair, by a plan.

    Parameters
    ----------
    world : World
    pair : Pair
    plan : Plan

    Attributes
    ----------
    links : two of Link
    """

    def __init__(self, world: World, pair: Pair, plan: Plan):
        self.world, self.bed, self.pair, self.plan = world, world.bed, pair, plan
        self.sides = [
            _Side(number, random.choice([random.randrange(_PSNS), _PSNS - 3]), world.place(8))
            for number in pair.numbers
        ]
        self.links = [Link(seed=0, delay=_DELAY, drops=drops) for drops in plan.drops]

    async def _set_up(self) -> None:
        bed, plan = self.bed, self.plan
        for number in self.pair.numbers:
            self.world.links.pop(number, None)
        for mine, side in enumerate(self.sides):
            peer = self.sides[1 - mine]
            await bed.set_up(
                QueuePair(
                    side.number,
                    Service.RC,
                    _MTU,
                    expected=peer.psn,
                    peer=ADDRESSES[0],
                    peer_queue_pair=peer.number,
                    receives=self.pair.receives[mine],
                    rnr_timer=_RNR_TIMER,
                )
            )
            active = SendQueuePair(
                side.number,
                Service.RC,
                _MTU,
                side.psn,
                ADDRESSES[0],
                peer.number,
                reads=4,
                has_credits=plan.has_credits,
            )
            await bed.set_up_send(active, timeout=_TIMEOUT)
        for side, link in zip(self.sides, self.links, strict=True):
            self.world.links[side.number] = link

    def _ask(self, mine: int) -> None:
        side, peer = self.sides[mine], self.sides[1 - mine]
        memory, place = self.bed.memory, self.world.place
        for kind, length, has_immediate, fence in self.plan.scripts[mine]:
            data = random.randbytes(length)
            local, remote = place(length), place(length)
            immediate = random.getrandbits(32) if has_immediate else None
            if kind.is_atomic:
                local, remote = local // 8 * 8, peer.counter
                side.places.append((local, side.added.to_bytes(8, "little")))
                side.added += 1
            elif kind is SendKind.READ:
                memory.write(0, remote, data)
                side.places.append((local, data))
            else:
                memory.write(0, local, data)
                side.places.append((remote, data))
            is_send = kind is SendKind.SEND
            if is_send or has_immediate:
                buffers = ((0, remote, length),) if is_send and length else ()
                peer.receives.append(ReceiveRequest(len(peer.receives), buffers))
                side.told.append((length, kind is SendKind.WRITE, immediate))
            side.requests.append(
                SendRequest(
                    identifier=len(side.requests),
                    kind=kind,
                    gather=((KEY, local, length),) if length else (),
                    remote_address=remote,
                    remote_key=KEY,
                    immediate=immediate,
                    operand=1,
                    fence=fence,
                )
            )

    async def run(self, *, limit: int) -> int:
        """Let it happen, and check all of it; give the cycles that it took.

        Raises
        ------
        AssertionError
            If it has not ended after ``limit`` cycles, or something is wrong.
        """
        bed = self.bed
        for side in self.sides:
            side.counter = side.counter // 8 * 8
            bed.memory.write(0, side.counter, bytes(8))
        received = {side.number: len(self._received(side.number)) for side in self.sides}
        begun = {side.number: len(self._sends(side.number)) for side in self.sides}
        await self._set_up()
        for mine in range(2):
            self._ask(mine)
        if not self.plan.is_late:
            await self._post_receives()
        since = bed.later.cycle
        for side in self.sides:
            for request in side.requests:
                bed.post_send(side.number, request)
        if self.plan.is_late:
            await bed.wait(_LATE_RECEIVES)
            await self._post_receives()
        while not all(
            len(self._sends(side.number)) - begun[side.number] >= len(side.requests)
            for side in self.sides
        ):
            await bed.wait(32)
            if bed.later.cycle - since > limit:
                raise AssertionError(self._why(begun))
        took = bed.later.cycle - since
        # What comes twice, or late, has come.
        await bed.wait(4 * _DELAY + 500)
        for mine, side in enumerate(self.sides):
            peer = self.sides[1 - mine]
            sends = self._sends(side.number)[begun[side.number] :]
            assert sends == [
                SendCompletion(side.number, r.identifier, r.kind, SendStatus.SUCCESS, r.length)
                for r in side.requests
            ], self.plan
            told = self._received(peer.number)[received[peer.number] :]
            assert [(c.byte_length, c.is_write, c.immediate) for c in told] == side.told, self.plan
            for place, data in side.places:
                assert bed.memory.read(0, place, len(data)) == data, self.plan
            counter = bed.memory.read(0, peer.counter, 8)
            assert int.from_bytes(counter, "little") == side.added, self.plan
        return took

    def _why(self, begun: dict[int, int]) -> str:
        ended = [
            f"queue pair {side.number}: {len(self._sends(side.number)) - begun[side.number]}"
            f" of {len(side.requests)}, from PSN {side.psn}"
            for side in self.sides
        ]
        return f"still talking: {ended}; {self.plan}"

    async def _post_receives(self) -> None:
        for side, queue in zip(self.sides, self.pair.receives, strict=True):
            for request in side.receives:
                await self.bed.post(queue, request)

    def _sends(self, number: int) -> list[SendCompletion]:
        return [one for one in self.bed.sends if one.queue_pair == number]

    def _received(self, number: int) -> list[Any]:
        queue = self.bed.completion_queue(number)
        return [one for one in self.bed.completions[queue] if one.queue_pair == number]
