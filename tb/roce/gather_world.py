"""What Gather is given, and what has to become of it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import CompletionStatus
from hdl.roce.opcode import Service
from hdl.roce.send_layouts import SendPacketKind, SentKind
from sim.roce import KeyTable, Memory, Region, Rights
from sim.roce.send_queue import SendKind, SendRequest
from sim.roce.work_entry import SLOT_BYTES, encode_entry

__all__ = ["DOMAIN", "Entry", "Expected", "Packet", "Pair", "World"]

DOMAIN, OTHER_DOMAIN = 0x1234, 0x1235
_KINDS = {
    SendKind.SEND: SendPacketKind.DATA,
    SendKind.WRITE: SendPacketKind.DATA,
    SendKind.READ: SendPacketKind.READ,
    SendKind.COMPARE_SWAP: SendPacketKind.ATOMIC,
    SendKind.FETCH_ADD: SendPacketKind.ATOMIC,
}
#: Space, address and length.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """A work request, where it is in its ring, and its bytes."""

    request: SendRequest
    slot: int
    data: bytes

    @property
    def slots(self) -> int:
        """Slots that it has."""
        return len(self.data) // SLOT_BYTES


@dataclass
class Pair:
    """A queue pair: where its ring is, and where it stands."""

    index: int
    service: Service
    mtu: int
    ring: Span  # its third: 2 ** n slots
    slot: int
    psn: int
    epoch: int = 0
    domain: int = DOMAIN
    count: int = 0
    #: Epoch in which nothing of it leaves any more.
    dead: int | None = None

    @property
    def number(self) -> int:
        """Queue pair number."""
        return 0xAB0000 | self.index


@dataclass(frozen=True)
class Packet:
    """What Gather is given; without an entry a SET_UP."""

    pair: Pair
    kind: SendPacketKind
    psn: int
    begin: int = 0  # PSN at which its entry begins
    service: Service = Service.RC
    entry: Entry | None = None
    slot: int = 0
    epoch: int = 0
    domain: int = DOMAIN
    offset: int = 0
    length: int = 0
    first: bool = True
    last: bool = True
    is_new: bool = False
    reads: int = 0
    count: int = 0
    status: int = 0
    ring: Span = (0, 0, 0)
    words: tuple[int, ...] = (0,) * 7
    opcode: int = 0


@dataclass
class Expected:
    """What has to come of a packet."""

    frame: tuple[int, ...] | None = None  # psn, opcode, payload_bytes, words
    payload: bytes | None = None
    is_damaged: bool = False
    spans: list[Span] = field(default_factory=list)
    # kind, queue pair, psn, PSN at which its entry begins, is_local, status
    event: tuple[int, ...] | None = None
    # queue pair, row, is_atomic, psn, count, length; region and address, if it has bytes
    place: tuple[int, ...] | None = None
    target: tuple[Region, int] | None = None


class World:
    """Memory, its regions, and queue pairs that are set up anew now and then."""

    def __init__(self, config: RoceConfig):
        self.config = config
        self.memory = Memory()
        self.keys = KeyTable()
        self.regions: list[Region] = []
        self.page_rows: dict[int, int] = {}
        self._next_page = 0
        #: Keys that the Translator does not know; pages that memory does not read.
        self.unknown: set[int] = set()
        self.poisoned: set[tuple[int, int]] = set()
        self.pairs: dict[int, Pair] = {}

    def add_region(
        self,
        index: int,
        page_count: int,
        *,
        rights: Rights = Rights.LOCAL_WRITE,
        domain: int = DOMAIN,
        queue_pair: int | None = None,
        page_bytes: int = 4096,
    ) -> Region:
        """Make a region of random place and content known."""
        offset = random.randrange(page_bytes)
        pages = tuple(
            (random.randrange(4), random.randrange(1 << 20, 1 << 50) * page_bytes % (1 << 64))
            for _ in range(page_count)
        )
        region = Region(
            key=index << 8 | random.getrandbits(8),
            domain=domain,
            base=random.choice([0, random.getrandbits(60), (1 << 32) - random.getrandbits(12)]),
            length=page_count * page_bytes - offset - random.randrange(page_bytes - offset),
            rights=rights,
            pages=pages,
            page_bytes=page_bytes,
            offset=offset,
            queue_pair=queue_pair,
        )
        for space, address in pages:
            if page_bytes <= 1 << 16:
                self.memory.write(space, address, random.randbytes(page_bytes))
        self.keys.add(region)
        self.regions.append(region)
        self.page_rows[index] = self._next_page
        self._next_page += page_count
        assert self._next_page <= self.config.pages
        return region

    def populate(self) -> None:
        """Make regions of every kind."""
        write, none = Rights.LOCAL_WRITE, Rights(0)
        self.add_region(0, 6)
        self.add_region(1, 3, rights=none)
        self.add_region(2, 2, page_bytes=8192)
        self.add_region(3, 5, rights=write | Rights.READ | Rights.BIND)
        self.add_region(4, 2, domain=OTHER_DOMAIN)
        self.add_region(5, 2, queue_pair=3)
        self.add_region(6, 2)
        self.add_region(7, 1, page_bytes=1 << 16)
        # Memory refuses a page of it.
        poisoned = self.add_region(8, 3)
        self.poisoned = {poisoned.pages[1]}
        self.unknown = {6}

    # What queue pairs are asked for.

    def pair(self, index: int, *, service: Service, mtu: int, ring_shift: int) -> Packet:
        """Set up a queue pair."""
        old = self.pairs.get(index)
        ring = (random.randrange(4), random.getrandbits(40) << 16 | 64 * random.getrandbits(10))
        self.pairs[index] = pair = Pair(
            index=index,
            service=service,
            mtu=mtu,
            ring=(*ring, 1 << ring_shift),
            slot=random.choice([0, 65530, (1 << ring_shift) - 1, random.getrandbits(16)]),
            psn=random.choice([0, 0xFFFFF0, random.getrandbits(24)]),
            count=old.count if old else 0,
        )
        return Packet(pair, SendPacketKind.SET_UP, pair.psn, slot=pair.slot, ring=pair.ring)

    def entry(self, pair: Pair, request: SendRequest) -> Entry:
        """Put a work request into the ring."""
        content = encode_entry(request)
        entry = Entry(request, pair.slot, content)
        space, address, slots = pair.ring
        for number in range(entry.slots):
            part = content[SLOT_BYTES * number : SLOT_BYTES * (number + 1)]
            place = address + SLOT_BYTES * ((pair.slot + number) % slots)
            self.memory.write(space, place, part)
        pair.slot = (pair.slot + entry.slots) % (1 << 16)
        return entry

    def packets(self, pair: Pair, request: SendRequest, *, extra: int = 0) -> list[Packet]:
        """Packets of a work request, with ``extra`` bytes more than its list, or less."""
        entry = self.entry(pair, request)
        length = request.length + extra
        # What is no operation for Gather is a BAD one.
        kind = _KINDS.get(request.kind, SendPacketKind.BAD)
        packet = Packet(
            pair,
            kind,
            pair.psn,
            begin=pair.psn,
            service=pair.service,
            entry=entry,
            slot=entry.slot,
            epoch=pair.epoch,
            domain=pair.domain,
            length=8 if kind is SendPacketKind.ATOMIC else length,
            is_new=random.random() < 0.7,
            reads=random.randrange(self.config.resources),
            count=1,
            opcode=random.getrandbits(8),
            words=tuple(
                0 if kind is SendPacketKind.ATOMIC and n >= 3 else random.getrandbits(32)
                for n in range(7)
            ),
        )
        if kind is SendPacketKind.BAD:
            begin = (pair.psn - random.choice([0, 0, 3])) % (1 << 24)
            return [replace(packet, begin=begin, status=random.choice([6, 1, 8]), length=0)]
        count = max(1, -(-length // pair.mtu))
        first = pair.psn
        pair.psn = (pair.psn + count) % (1 << 24)
        if kind is not SendPacketKind.DATA:
            return [replace(packet, count=count)]
        return [
            replace(
                packet,
                psn=(first + n) % (1 << 24),
                offset=n * pair.mtu,
                length=min(pair.mtu, length - n * pair.mtu),
                first=n == 0,
                last=n == count - 1,
            )
            for n in range(count)
        ]

    def piece(self, length: int, *, bad: float = 0.0, writes: bool = False) -> tuple[int, int, int]:
        """Piece of a region: key, address and length; perhaps not as it should be."""
        usable = [0, 3, 7] if writes else [0, 1, 2, 3, 7]
        wrong = [4, 5, 6, 8] + ([1] if writes else [])
        is_bad = random.random() < bad
        region = self.regions[random.choice(wrong if is_bad else usable)]
        length = min(length, region.length)
        place = random.randrange(region.length - length + 1)
        if random.random() < 0.4:
            # Over the end of a page, or just not.
            end = random.randrange(1, len(region.pages) + 1) * region.page_bytes - region.offset
            place = max(0, min(end - random.randint(0, length), region.length - length))
        key, address = region.key, region.base + place
        if is_bad:
            how = random.randrange(6)
            if how == 0:
                key ^= 1 << random.randrange(32)
            elif how == 1:
                address = (region.base + region.length - length + 1) % (1 << 64)
            elif how == 2:
                address = (region.base - 1) % (1 << 64)
            elif how == 3:
                address ^= 1 << random.randrange(20, 64)
        return key, address, length

    # What becomes of it.

    def _pieces(self, packet: Packet) -> Iterator[tuple[tuple[int, int, int], int, int]]:
        """Pieces that a packet needs: what is skipped of each, and taken."""
        assert packet.entry is not None
        begin, end = packet.offset, packet.offset + packet.length
        position = 0
        for piece in packet.entry.request.gather:
            size = piece[2]
            low, high = max(begin, position), min(end, position + size)
            if low < high:
                yield piece, low - position, high - low
            position += size

    def _inline(self, packet: Packet) -> list[Span]:
        assert packet.entry is not None
        space, address, slots = packet.pair.ring
        ring = slots * SLOT_BYTES
        begin = packet.entry.slot * SLOT_BYTES + 32 + packet.offset
        spans: list[Span] = []
        for number in range(begin, begin + packet.length):
            place = address + number % ring
            if spans and spans[-1][1] + spans[-1][2] == place:
                spans[-1] = (space, spans[-1][1], spans[-1][2] + 1)
            else:
                spans.append((space, place, 1))
        return spans

    def _gather(self, packet: Packet) -> tuple[list[Span], CompletionStatus | None]:
        """Spans of a packet's data, or why there are none."""
        assert packet.entry is not None
        if packet.entry.request.inline is not None:
            return self._inline(packet), None
        spans: list[Span] = []
        taken = 0
        is_right = True
        for (key, address, size), skip, length in self._pieces(packet):
            taken += length
            region = self.keys.local(key, address, size, domain=packet.domain, writes=False)
            if region is None or key >> 8 in self.unknown:
                is_right = False
                continue
            for place in range(0, length, 4096):
                part = min(4096, length - place)
                spans += region.spans(address + skip + place, part)
        if not is_right:
            return [], CompletionStatus.LOCAL_PROTECTION
        goes_on = packet.last and self._goes_on(packet)
        if goes_on or taken != packet.length:
            return [], CompletionStatus.LOCAL_LENGTH
        return spans, None

    @staticmethod
    def _goes_on(packet: Packet) -> bool:
        """Whether the list has more bytes than the packets up to this one."""
        assert packet.entry is not None
        whole = sum(size for _, _, size in packet.entry.request.gather)
        return whole > packet.offset + packet.length

    def _target(self, packet: Packet) -> tuple[tuple[Region, int] | None, CompletionStatus | None]:
        """Where what is brought back goes, or why it does not."""
        assert packet.entry is not None
        if not packet.length:
            return None, CompletionStatus.LOCAL_LENGTH if self._goes_on(packet) else None
        is_atomic = packet.kind is SendPacketKind.ATOMIC
        pieces = packet.entry.request.gather[:1]
        for key, address, size in pieces:
            if not size:
                break
            region = self.keys.local(key, address, size, domain=packet.domain, writes=True)
            if region is None:
                return None, CompletionStatus.LOCAL_PROTECTION
            if is_atomic and (address - region.base + region.offset) % 8:
                return None, CompletionStatus.LOCAL_PROTECTION
            if size != packet.length:
                return None, CompletionStatus.LOCAL_LENGTH
            return (region, address), None
        return None, CompletionStatus.LOCAL_LENGTH

    def refuses(self, span: Span) -> bool:
        """Whether memory fails there."""
        return (span[0], span[1] // 4096 * 4096) in self.poisoned

    def expect(self, packet: Packet) -> Expected:
        """Say what has to come of the next packet."""
        pair = packet.pair
        result = Expected()
        if packet.kind is SendPacketKind.SET_UP:
            pair.dead = None
            result.event = (SentKind.SET_UP.value, pair.index, packet.psn, packet.begin, 0, 0)
            return result
        is_dead = pair.dead == packet.epoch
        if not is_dead:
            pair.dead = None
        about = (pair.index, packet.psn, packet.begin)
        status: CompletionStatus | None = None
        is_local = False
        if packet.kind is SendPacketKind.DATA:
            result.spans, status = self._gather(packet)
        elif packet.kind in (SendPacketKind.READ, SendPacketKind.ATOMIC):
            result.target, status = self._target(packet)
        else:
            is_local = True
            status = CompletionStatus(packet.status)
        if is_dead:
            return Expected(spans=result.spans)
        if status is not None:
            pair.dead = packet.epoch
            return Expected(event=(SentKind.FAILED.value, *about, int(is_local), status.value))
        words = list(packet.words)
        is_atomic = packet.kind is SendPacketKind.ATOMIC
        if is_atomic:
            assert packet.entry is not None
            request = packet.entry.request
            wire = request.operand.to_bytes(8, "big") + request.compare.to_bytes(8, "big")
            words[3:] = [int.from_bytes(wire[n : n + 4], "little") for n in range(0, 16, 4)]
        is_data = packet.kind is SendPacketKind.DATA
        size = packet.length if is_data else 0
        result.frame = (packet.psn, packet.opcode, size, *words)
        if is_data and size:
            result.payload = b"".join(self.memory.read(*span) for span in result.spans)
            result.is_damaged = any(self.refuses(span) for span in result.spans)
        elif not is_data and packet.is_new:
            numbers = (packet.reads, int(is_atomic), packet.psn, packet.count, packet.length)
            result.place = (pair.index, *numbers)
        if result.is_damaged:
            pair.dead = packet.epoch
            status = CompletionStatus.LOCAL_PROTECTION
            result.event = (SentKind.FAILED.value, *about, 0, status.value)
        elif is_data and packet.service is not Service.RC:
            result.event = (SentKind.SENT.value, *about, 0, 0)
        return result
