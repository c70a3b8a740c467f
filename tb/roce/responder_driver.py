"""Driver of the whole responder: its tables, and completion queues in memory."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from cocotb.triggers import Event

from hdl.roce.config import RoceConfig
from sim.roce import (
    Completion,
    CompletionStatus,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Service,
)

from .key_rows import key_row
from .memory_ports import Later
from .ports import Offer, Packer

__all__ = [
    "ARM",
    "ARM_SOLICITED",
    "DRIVER_PORTS",
    "PATIENCE",
    "REMOTE_OPERATION",
    "Driver",
    "mapped",
]

#: What a driver tells the device.
DRIVER_PORTS = (
    "contexts",
    "addresses",
    "keys",
    "key_states",
    "pages",
    "scatter_rows",
    "receives",
    "receive_limits",
    "queue_setups",
    "queue_commands",
)
_ENTRY_BYTES = 32
#: Space of completion queues, and where they begin: one each 16 MiB.
_QUEUE_SPACE = 3
_QUEUE_BYTES = 1 << 24
_CONSUMED, ARM, ARM_SOLICITED = 0, 1, 2
#: Status of what memory refused: the model's memory never does.
REMOTE_OPERATION: Any = "memory refused"
_REMOTE_OPERATION_CODE = 5
#: Cycles in which something must happen, if there is anything to do; more than memory takes.
PATIENCE = 20_000


def mapped(address: bytes) -> int:
    """Make a number of an IP address, an IPv4-mapped one for IPv4."""
    number = int.from_bytes(address, "big")
    return number | 0xFFFF << 32 if len(address) == 4 else number


class Driver:
    """Tables of the device, written as the model's objects say.

    Parameters
    ----------
    config : RoceConfig
    ports : mapping of str to (Offer, Packer)
        Streams of :data:`DRIVER_PORTS`.
    memory : Memory
        Where completion queues lie.
    later : Later
    queue_shift : int
        Entries of each completion queue, as a power of two.
    """

    def __init__(
        self,
        config: RoceConfig,
        ports: Mapping[str, tuple[Offer, Packer]],
        memory: Memory,
        later: Later,
        queue_shift: int,
    ):
        self.config, self.memory, self.later = config, memory, later
        self.resources = config.resources
        self.completion_room = 1 << queue_shift
        self.completions: dict[int, list[Completion]] = defaultdict(list)
        self._ports = ports
        self._queue_shift = queue_shift
        self._numbers: dict[int, int] = {}
        self._queues: dict[int, tuple[ReceiveQueue, int]] = {}
        self._first_queue = 0
        self._handles: dict[int, int] = {}
        self._free = deque(range(config.receive_requests))
        self._page_rows: dict[int, tuple[int, int]] = {}
        self._next_page = 0
        self._rings: dict[int, int] = {}
        self.is_dirty = False

    async def wait(self, cycles: int) -> None:
        """Let cycles pass."""
        over = Event()
        self.later.at(self.later.cycle + cycles, over.set)
        await over.wait()

    # Tables.

    def tell(self, name: str, **values: Any) -> None:
        """Give the device something of the driver's."""
        offer, packer = self._ports[name]
        offer.put(packer.pack(**values))
        self.is_dirty = True

    def _row(self, number: int) -> int:
        return number % self.config.queue_pairs

    def completion_queue(self, queue_pair: int) -> int:
        """Completion queue of a queue pair."""
        return queue_pair % min(4, self.config.completion_queues)

    def receive_queue(self, queue: ReceiveQueue) -> int:
        """Give the number of a receive queue."""
        number = self._first_queue + len(self._queues)
        number = self._queues.setdefault(id(queue), (queue, number))[1]
        assert number < self.config.receive_queues, "too many receive queues"
        return number

    async def set_up(self, queue_pair: QueuePair) -> None:
        """Set a queue pair up anew."""
        row = self._row(queue_pair.number)
        self._numbers[row] = queue_pair.number
        queue = self.completion_queue(queue_pair.number)
        if queue not in self._rings:
            self._rings[queue] = 0
            self.tell(
                "queue_setups",
                queue=queue,
                space=_QUEUE_SPACE,
                address=queue * _QUEUE_BYTES,
                size_shift=self._queue_shift,
                vector=queue + 1,
            )
        self._tell_address(
            row,
            peer=queue_pair.peer,
            queue_pair=queue_pair.peer_queue_pair,
            p_key=queue_pair.p_key,
        )
        self.tell(
            "contexts",
            queue_pair=row,
            row={
                "state": queue_pair.state.value,
                "service": queue_pair.service.value,
                "number": queue_pair.number,
                "mtu_shift": queue_pair.mtu.bit_length() - 1,
                "p_key": queue_pair.p_key,
                "q_key": queue_pair.q_key,
                "domain": queue_pair.domain,
                "rights": queue_pair.rights.value,
                "peer": mapped(queue_pair.peer),
                "receive_queue": self.receive_queue(queue_pair.receives),
                "completion_queue": queue,
                "is_shared": queue_pair.receives.is_shared,
                "rnr_timer": queue_pair.rnr_timer,
                "expected": queue_pair.expected,
            },
        )
        await self.told()

    #: How the rows of addresses are numbered, and whether every second one has a VLAN tag.
    address_index = "queue_pair"
    #: Whom all frames go to.
    peer_mac = 0x0200_0000_0001
    has_vlans = True

    def _tell_address(self, index: int, *, peer: bytes, queue_pair: int, p_key: int) -> None:
        """Say where frames of a row of addresses go."""
        fields = {
            "destination_mac": self.peer_mac,
            "has_vlan": self.has_vlans and index & 1,
            "vlan": 0x2000 | index,
            "v6": len(peer) == 16,
            "destination_ip": mapped(peer),
            "traffic_class": 0x02,
            "hop_limit": 64,
            "udp_source": 0xC000 | index,
            "queue_pair": queue_pair,
            "p_key": p_key,
        }
        self.tell("addresses", **{self.address_index: index, "row": fields})

    async def tear_down(self, number: int) -> None:
        """Put a queue pair into reset."""
        row = {"state": 0, "service": Service.RC.value, "number": number, "mtu_shift": 8}
        self.tell("contexts", queue_pair=self._row(number), row=row)
        await self.told()

    async def add(self, region: Region) -> None:
        """Make a region known."""
        index = region.key >> 8
        first, count = self._page_rows.get(index, (0, 0))
        if count < len(region.pages):
            first, count = self._next_page, len(region.pages)
            self._next_page += count
            assert self._next_page <= self.config.pages, "too many pages"
            self._page_rows[index] = first, count
        for number, (space, address) in enumerate(region.pages):
            self.tell("pages", row=first + number, space=space, page=address >> 12)
        self.tell("keys", key=index, row=key_row(region, page_row=first))
        self.tell("key_states", key=index, valid=1, variant=region.key & 0xFF)
        await self.told()

    def add_window(self, index: int) -> None:
        """Let keys of this index be those of a window, which is not bound."""
        self.tell("key_states", key=index, valid=0, variant=0)
        self.tell("keys", key=index, row={"is_window": 1})

    async def remove(self, key: int) -> None:
        """Take a key away."""
        self.tell("keys", key=key >> 8, row={})
        self.tell("key_states", key=key >> 8, valid=0, variant=0)
        await self.told()

    async def post(self, queue: ReceiveQueue, request: ReceiveRequest) -> None:
        """Post a receive request."""
        if len(self._free) < self.config.receive_requests // 2:
            self.poll()
        handle = self._free.popleft()
        self._handles[handle] = request.identifier
        entries = self.config.scatter_entries
        assert len(request.buffers) <= entries
        buffers = [*request.buffers, *[(0, 0, 0)] * (entries - len(request.buffers))]
        for number, (space, address, length) in enumerate(buffers):
            span = {"space": space, "address": address, "length": length}
            self.tell("scatter_rows", row=handle * entries + number, span=span)
        await self.told()
        self.tell(
            "receives",
            queue=self.receive_queue(queue),
            handle=handle,
            length=request.length,
        )

    async def limit(self, queue: ReceiveQueue, limit: int) -> None:
        """Arm the event of a receive queue."""
        self.tell("receive_limits", queue=self.receive_queue(queue), limit=limit)
        await self.told()

    async def told(self) -> None:
        """Wait until the device has taken all that the driver said."""
        for _ in range(PATIENCE):
            if all(offer.is_idle for offer, _ in self._ports.values()):
                return
            await self.wait(1)
        waiting = [name for name, (offer, _) in self._ports.items() if not offer.is_idle]
        raise AssertionError(f"not taken: {waiting}")

    def forget(self) -> None:
        """Forget receive queues, so that others are used from now on, handles and page rows."""
        self._first_queue += len(self._queues)
        self._queues.clear()
        self._handles.clear()
        self._free = deque(range(self.config.receive_requests))
        self._page_rows.clear()
        self._next_page = 0

    # Completions.

    def poll(self) -> None:
        """Take completions out of memory, and say so."""
        for queue, first in list(self._rings.items()):
            consumer = first
            while (entry := self._entry(queue, consumer)) is not None:
                self._keep(queue, entry)
                consumer += 1
            if consumer != first:
                self._rings[queue] = consumer
                self._command(queue, _CONSUMED)

    def arm(self, queue: int, kind: int) -> None:
        """Ask for an interrupt."""
        self._command(queue, kind)

    def _command(self, queue: int, kind: int) -> None:
        consumer = self._rings[queue] % (1 << 25)
        self.tell("queue_commands", queue=queue, kind=kind, consumer=consumer)

    def _entry(self, queue: int, number: int) -> bytes | None:
        """Give an entry of a completion queue, if it has been written."""
        size = 1 << self._queue_shift
        address = queue * _QUEUE_BYTES + number % size * _ENTRY_BYTES
        entry = self.memory.read(_QUEUE_SPACE, address, _ENTRY_BYTES)
        if entry[19] >> 7 != 1 - number // size % 2:
            return None
        count = int.from_bytes(entry[20:24], "little")
        assert count == number, f"entry {number} of queue {queue} has count {count}"
        return entry

    def _keep(self, queue: int, entry: bytes) -> None:
        """Keep what an entry says."""
        flags = entry[19]

        def field(place: int, size: int = 4) -> int:
            return int.from_bytes(entry[place : place + size], "little")

        handle = field(0)
        identifier = self._handles.pop(handle)
        self._free.append(handle)
        code = entry[15]
        is_refused = code == _REMOTE_OPERATION_CODE
        status = REMOTE_OPERATION if is_refused else CompletionStatus(code)
        completion = Completion(
            queue_pair=field(12, 3),
            identifier=identifier,
            status=status,
            byte_length=field(4),
            is_write=bool(flags & 1),
            immediate=field(8) if flags & 2 else None,
            invalidated=field(8) if flags & 4 else None,
            source_queue_pair=field(16, 3),
            solicited=bool(flags & 8),
        )
        self.completions[queue].append(completion)

    def is_own(self, space: int, address: int) -> bool:
        """Whether memory there is a completion queue."""
        return space == _QUEUE_SPACE
