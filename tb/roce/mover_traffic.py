"""Random actions for hdl.roce.Mover, and the lists, keys and packets that they need."""

import json
import os
import random
from typing import Any

from cocotb.triggers import ClockCycles

from hdl.roce.config import RoceConfig
from sim.roce.mover import Action, Completion, Event
from sim.roce.translator import Place, Span
from tb.stream import start

from .mover_port import MoverBench

__all__ = [
    "ACK",
    "CONFIG",
    "HEADERS",
    "NAK",
    "NOWHERE",
    "Traffic",
    "bits",
    "random_completion",
    "random_event",
    "random_list",
]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
ACK, NAK = 1, 4
#: Least bytes in front of a payload: Ethernet, IPv4, UDP, BTH.
HEADERS = 14 + 20 + 8 + 12
NOWHERE = Place(0, 0, 0, 0, 12)


def bits(name: str) -> int:
    """Random number of one of the configuration's things."""
    return random.getrandbits(CONFIG.bits(name))


def random_event(queue_pair: int, *, kind: int | None = None) -> Event:
    """Event of any kind, or of ``kind``."""
    kind = random.choice([0, ACK, 2, 3, NAK, 5]) if kind is None else kind
    return Event(
        kind,
        queue_pair,
        random.getrandbits(24),
        random.getrandbits(24),
        random.getrandbits(8),
        random.getrandbits(1),
    )


def random_completion() -> Completion:
    """Completion with anything in it."""
    return Completion(
        queue=bits("completion_queues"),
        queue_pair=random.getrandbits(24),
        handle=bits("receive_requests"),
        status=random.choice([0, 0, 0, 2]),
        byte_length=random.getrandbits(32),
        is_write=random.getrandbits(1),
        has_immediate=random.getrandbits(1),
        has_invalidated=random.getrandbits(1),
        value=random.getrandbits(32),
        source_queue_pair=random.getrandbits(24),
        solicited=random.getrandbits(1),
    )


def random_list(total: int, entries: int) -> list[Span]:
    """Scatter list of ``total`` bytes in up to ``entries`` entries, some of them empty."""
    cuts = sorted(random.randint(0, total) for _ in range(random.randint(0, entries - 1)))
    spans = []
    for begin, end in zip([0, *cuts], [*cuts, total], strict=True):
        address = random.choice([random.getrandbits(64), random.getrandbits(32) << 32])
        address -= random.choice([0, random.randint(1, 50)])  # low half near its end
        spans.append(Span(random.getrandbits(2), address % (1 << 64), end - begin))
    return spans


class Traffic(MoverBench):
    """Random actions of queue pairs, each of which has its message under way."""

    def __init__(self, dut, *, stalls=None):
        super().__init__(dut, CONFIG, stalls=stalls)
        # Handle and bytes that are left of the list.
        self.under_way: dict[int, tuple[int, int]] = {}
        self.free = list(range(CONFIG.receive_requests))

    async def begin(self) -> None:
        """Release reset, write both tables, and revive every queue pair; every key is valid."""
        await start(self.dut)
        for row in range(CONFIG.pages):
            self.set_page(row, random.getrandbits(2), random.getrandbits(52))
        for key in range(CONFIG.regions):
            self.set_key(key, random.getrandbits(8))
        for queue_pair in range(CONFIG.queue_pairs):
            self.act(self.action("drop", queue_pair, 1, revive=True))
        await self.settle()
        for port in (self.packets, self.orders):
            port.restart()
        self.finished = 0

    def some_place(self) -> Place:
        """Place of a valid key, whose first 64 bytes are of one page."""
        key, variant = next(iter(self.table.keys.items()))
        return Place(key, variant, 128, 0, 12)

    async def listed(self) -> None:
        """Wait until the lists are written."""
        while not self.scatter_rows.idle:
            await ClockCycles(self.dut.clk, 1)

    def place(self, length: int) -> Place:
        """Place of a region, near the end of a page every second time; some are no more."""
        key = random.randrange(CONFIG.regions)
        variant = self.table.keys.get(key, random.getrandbits(8))
        if random.random() < 0.03:
            variant ^= 1
        shift = random.choice([12, 12, 14, 21])
        page_row = random.randrange(CONFIG.pages)
        index = random.randrange(CONFIG.pages - page_row)
        within = random.randrange(1 << shift)
        if random.random() < 0.5:
            within = max(0, (1 << shift) - random.randint(1, length + 1))
        return Place(key, variant, (index << shift) + within, page_row, shift)

    def size(self) -> int:
        """Bytes of a payload."""
        return random.choice([1, random.randint(1, 80), random.randint(1, 600)])

    def action(self, kind: str, queue_pair: int, size: int, **changes: Any) -> Action:
        """Make an action with a packet around a payload of ``size`` bytes, and ``changes``."""
        offset = HEADERS + random.randint(0, 60)
        values: dict[str, Any] = {
            "kind": kind,
            "queue_pair": queue_pair,
            "packet": random.randbytes(offset + size + random.randint(4, 12)),
            "payload_offset": offset,
            "payload_bytes": size,
            "place": NOWHERE,
            "event": random_event(queue_pair),
            "completion": random_completion() if random.random() < 0.3 else None,
        }
        return Action(**{**values, **changes})

    def write(self, queue_pair: int) -> None:
        """Add a WRITE."""
        size = random.choice([0, *(self.size() for _ in range(5))])
        self.act(self.action("write", queue_pair, size, place=self.place(size)))

    def drop(self, queue_pair: int) -> None:
        """Add an action that moves nothing, perhaps without a packet; or one that revives."""
        changes: dict[str, Any] = {"revive": random.random() < 0.5}
        if random.random() < 0.3:
            changes |= {"packet": None, "payload_bytes": 0}
        self.act(self.action("drop", queue_pair, self.size(), **changes))

    def receive_request(self, total: int, *, lie: bool) -> int:
        """Post a list of ``total`` bytes, or, if that is a lie, of fewer."""
        handle = self.free.pop(0)
        size = random.randrange(total) if lie else total + random.choice([0, 1, 100])
        self.set_list(handle, random_list(size, CONFIG.scatter_entries))
        return handle

    def scatter(self, queue_pair: int) -> None:
        """Add the next packet of a SEND, or a datagram; some invalidate a key."""
        size = self.size()
        lie = random.random() < 0.05
        changes: dict[str, Any] = {}
        if random.random() < 0.3:
            changes = {
                "is_datagram": True,
                "v6": random.random() < 0.5,
                "ip_offset": 14 - 4 * random.randint(0, 1),
            }
            if random.random() < 0.2:
                size = 0
            changes["handle"] = self.receive_request(40 + size, lie=lie)
            # It ends what it begins, and what was under way is forgotten.
            self.under_way.pop(queue_pair, None)
        elif queue_pair in self.under_way:
            handle, left = self.under_way.pop(queue_pair)
            size = min(size, left)
            changes = {"handle": handle, "begins": False}
            if left > size:
                self.under_way[queue_pair] = (handle, left - size)
        else:
            total = size + random.choice([0, random.randint(1, 700)])
            changes = {"handle": self.receive_request(total, lie=lie)}
            if total > size:
                self.under_way[queue_pair] = (changes["handle"], total - size)
        if random.random() < 0.1:
            changes |= {"invalidate": True, "place": self.place(1)}
        if random.random() < 0.05:
            changes["revive"] = True
        done = self.act(self.action("scatter", queue_pair, size, **changes))
        if done.failure is not None or not done.written:
            self.under_way.pop(queue_pair, None)

    def anything(self) -> None:
        """Add an action of any kind."""
        queue_pair = random.randrange(min(4, CONFIG.queue_pairs))
        random.choice([self.write, self.write, self.scatter, self.scatter, self.drop])(queue_pair)
