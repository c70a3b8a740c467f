"""Memory, keys, queue pairs and peers of a random campaign."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from sim.roce import (
    QueuePair,
    QueuePairState,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Rights,
    RocePacket,
    Service,
)

from .oracle import Action, Oracle

__all__ = ["ALL", "CARD_V4", "CARD_V6", "Line", "World"]

ALL = Rights.WRITE | Rights.READ | Rights.ATOMIC
CARD_V4 = bytes([192, 0, 2, 2])
CARD_V6 = bytes([0x20, 1, 0xD, 0xB8, *[0] * 11, 2])
_PSNS = 1 << 24
#: Spaces: regions lie in two, receive buffers in another, completion queues in the last.
_BUFFER_SPACE = 2
_AREA_BYTES = 1 << 21
_AREAS = 512
_Q_KEY = 0x8765_4321


@dataclass
class Line:
    """A queue pair, and what its peer knows.

    Attributes
    ----------
    qp : QueuePair
        The model's.
    address : bytes
        IP address of the peer.
    psn : int
        Of the next new packet.
    window : Region, optional
        What the peer may invalidate.
    recent : list of RocePacket
        Requests that were taken, to be sent again.
    messages : int
        How many were sent.
    """

    qp: QueuePair
    address: bytes
    psn: int
    window: Region | None = None
    recent: list[RocePacket] = field(default_factory=list)
    messages: int = 0

    @property
    def is_v6(self) -> bool:
        """Over IPv6."""
        return len(self.address) == 16

    @property
    def card(self) -> bytes:
        """IP address of our side."""
        return CARD_V6 if self.is_v6 else CARD_V4

    def packet(self, opcode: int, psn: int, payload: bytes = b"", **more) -> RocePacket:
        """Packet to our side; ``more`` are headers, or fields of the BTH in ``bth``."""
        bth = {"opcode": opcode, "dest_qp": self.qp.number, "p_key": self.qp.p_key | 0x8000}
        bth |= {"psn": psn % _PSNS, **more.pop("bth", {})}
        return RocePacket(self.address, self.card, {"bth": bth, **more}, payload)


class World:
    """What a campaign's engine is set up with.

    Two protection domains, each with regions of all rights (small pages; middle ones; one page of
    1 GiB, zero-based; zero-based from an odd byte on), one that is only read and one that is only
    written; a window for each reliable queue pair. Queue pairs of all services and MTUs, over IPv4
    and IPv6; one may do nothing but write; some, reliable and datagram ones, share a receive queue.

    Parameters
    ----------
    rng : random.Random
    oracle : Oracle
    queue_pairs : int
        How many, 4 at least.
    scatter_entries : int
        Of a receive request, at most.
    """

    def __init__(
        self, rng: random.Random, oracle: Oracle, *, queue_pairs: int, scatter_entries: int
    ):
        self.rng = rng
        self.oracle = oracle
        self.scatter_entries = scatter_entries
        self.regions: dict[int, dict[str, Region]] = {}
        self.lines: list[Line] = []
        self._count = queue_pairs
        self._next_index = 1
        self._next_page = {0: 0x100, 1: 0x100}
        self._serial = 0

    def set_up(self) -> Iterator[Action]:
        """Make everything known."""
        yield from self.make_regions()
        shared = ReceiveQueue(is_shared=True)
        services = [Service.RC, Service.RC, Service.UC, Service.UD]
        for number in range(self._count):
            service = services[number % 4]
            is_shared = service is not Service.UC and number % 8 in (0, 3, 5)
            yield from self.add_line(
                number,
                service,
                domain=1 + number % 2,
                rights=Rights.WRITE if number % 8 == 4 else ALL,
                receives=shared if is_shared else ReceiveQueue(),
            )

    def make_regions(self) -> Iterator[Action]:
        """Make the regions of both domains known."""
        for domain in (1, 2):
            yield from self._make_regions(domain)

    def add_line(
        self,
        number: int,
        service: Service,
        *,
        domain: int,
        receives: ReceiveQueue,
        rights: Rights = ALL,
    ) -> Iterator[Action]:
        """Make another queue pair known."""
        address = bytes([192, 0, 2, 16 + number])
        if number // 2 % 2:
            address = CARD_V6[:14] + bytes([1, number])
        qp = QueuePair(
            # Only the low bits choose the row: the others must be compared.
            number=number | 0x5A_0000,
            service=service,
            mtu=[256, 512, 1024, 2048, 4096][number % 5],
            peer=address,
            peer_queue_pair=0x100 + number,
            domain=domain,
            rights=rights,
            receives=receives,
            p_key=0xFFFF if number % 3 else 0x8123,
            q_key=_Q_KEY,
            rnr_timer=number % 32,
        )
        line = Line(qp, address, 0)
        self.lines.append(line)
        yield from self.connect(line)

    def connect(self, line: Line) -> Iterator[Action]:
        """Set a queue pair up, anew or for the first time."""
        old = line.qp
        near_the_end = self.rng.random() < 0.3
        psn = (_PSNS - self.rng.randint(1, 40)) if near_the_end else self.rng.randrange(_PSNS)
        line.qp = replace(
            old,
            expected=psn,
            state=QueuePairState.READY,
            next_cnp=0,
            msn=0,
            refused=False,
            operation="",
            receive=None,
            received=0,
            write=None,
            memory=deque(),
        )
        line.psn = psn
        line.recent.clear()
        yield self.oracle.set_up(line.qp)
        yield from self.post(line, self.rng.randint(1, 12))
        if line.qp.service is Service.RC and line.window is None:
            yield self.open_window(line)

    # Regions.

    def _region(
        self,
        domain: int,
        base: int,
        length: int,
        rights: Rights,
        page_bytes: int,
        queue_pair: int | None = None,
        skew: int = 0,
    ) -> Region:
        offset = self.rng.randrange(min(page_bytes, 1 << 20)) & ~7 | skew
        if base:
            base += offset % 4096 + self.rng.choice([0, 8])
        count = -(-(offset + length) // page_bytes)
        pages = []
        for number in range(count):
            space = number % 2
            unit = page_bytes >> 12
            # Somewhere behind the last one, at a multiple of the page size.
            first = -(-self._next_page[space] // unit) * unit + self.rng.randint(0, 3) * unit
            self._next_page[space] = first + unit
            pages.append((space, first << 12))
        key = self._next_index << 8 | self.rng.randrange(256)
        self._next_index += 1
        return Region(
            key, domain, base, length, rights, tuple(pages), page_bytes, offset, queue_pair
        )

    def _make_regions(self, domain: int) -> Iterator[Action]:
        base = domain << 44
        known = {
            "small": self._region(domain, base, 150_000, ALL, 1 << 12),
            "middle": self._region(domain, base + (1 << 32), (1 << 21) + 777, ALL, 1 << 16),
            "huge": self._region(domain, 0, 100_000, ALL, 1 << 30),
            "skewed": self._region(domain, 0, 5000, ALL, 1 << 12, skew=self.rng.randint(1, 7)),
            "read": self._region(domain, base + (2 << 32), 20_000, Rights.READ, 1 << 13),
            "write": self._region(domain, base + (3 << 32), 20_000, Rights.WRITE, 1 << 12),
        }
        self.regions[domain] = known
        for region in known.values():
            yield self.oracle.add(region)
            for space, address, size in region.spans(region.base, region.length):
                yield self.oracle.write(space, address, self.rng.randbytes(size))

    def open_window(self, line: Line) -> Action:
        """Give the peer a window; if it had one, with another variant of the same key."""
        if line.window is None:
            number, domain = line.qp.number, line.qp.domain
            base = (domain << 44) + (4 << 32)
            line.window = self._region(domain, base, 9000, ALL, 1 << 12, number)
        else:
            old = line.window
            key = old.key & ~0xFF | (old.key + 1) & 0xFF
            line.window = replace(old, key=key)
        return self.oracle.add(line.window)

    # Receive requests.

    def _areas_in_use(self) -> set[int]:
        requests = [line.qp.receive for line in self.lines if line.qp.receive is not None]
        for queue in {id(line.qp.receives): line.qp.receives for line in self.lines}.values():
            requests.extend(queue.requests)
        return {request.identifier % _AREAS for request in requests}

    def post(self, line: Line, count: int) -> Iterator[Action]:
        """Post receive requests for a queue pair."""
        in_use = self._areas_in_use()
        for _ in range(count):
            if len(in_use) > _AREAS // 2:
                return
            self._serial += 1
            while self._serial % _AREAS in in_use:
                self._serial += 1
            in_use.add(self._serial % _AREAS)
            yield self.oracle.post(line.qp.receives, self._request(line, self._serial))

    def _request(self, line: Line, serial: int) -> ReceiveRequest:
        kind = self.rng.random()
        # A datagram that does not fit leaves its request where it is, for ever.
        of_datagrams = line.qp.service is Service.UD or line.qp.receives.is_shared
        if kind < 0.1 and of_datagrams:
            total = self.rng.randint(40, 400)
        elif kind < 0.1:
            total = self.rng.randint(0, 100)
        elif kind < 0.8:
            total = self.rng.randint(line.qp.mtu + 40, 16384)
        elif kind < 0.97:
            total = self.rng.randint(1024, 1 << 16)
        else:
            total = (1 << 20) + 40
        count = self.rng.randint(1, self.scatter_entries)
        cuts = sorted([0, total, *(self.rng.randint(0, total) for _ in range(count - 1))])
        if self.rng.random() < 0.2:  # short entries first
            cuts = sorted([0, total, *(min(total, 7 * n) for n in range(1, count))])
        place = serial % _AREAS * _AREA_BYTES
        buffers = []
        for begin, end in pairwise(cuts):
            place += self.rng.randint(0, 200)
            buffers.append((_BUFFER_SPACE, place, end - begin))
            place += end - begin
        return ReceiveRequest(serial, tuple(buffers))
