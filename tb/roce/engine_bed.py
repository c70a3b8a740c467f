"""The whole engine in cocotb: work queues besides what a responder has."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdl.roce.config import RoceConfig
from sim.roce import (
    SendCompletion,
    SendKind,
    SendQueuePair,
    SendRequest,
    SendStatus,
    Service,
)
from sim.roce.work_entry import SLOT_BYTES, encode_entry

from .parsed_responder import ParsedEngine
from .responder_bed import Bed
from .responder_driver import DRIVER_PORTS, mapped

__all__ = ["EngineBed", "WorkQueue"]

#: Space of work queues, and where each begins.
_WORK_SPACE = 3
_WORK_BASE = 1 << 40
_RING_SHIFT = 8
_SLOTS = 1 << 16
_SEND_FLAG = 1 << 4
#: More than a row of addresses takes to be written.
_ROW_CYCLES = 100
#: Numbers of CompletionStatus in the hardware, of work requests.
_STATUSES = {
    0: SendStatus.SUCCESS,
    1: SendStatus.LOCAL_LENGTH,
    2: SendStatus.REMOTE_INVALID_REQUEST,
    3: SendStatus.REMOTE_ACCESS,
    4: SendStatus.FLUSHED,
    5: SendStatus.REMOTE_OPERATION,
    6: SendStatus.LOCAL_OPERATION,
    7: SendStatus.LOCAL_PROTECTION,
    8: SendStatus.BIND,
    9: SendStatus.RETRY_EXCEEDED,
    10: SendStatus.RNR_RETRY_EXCEEDED,
}


@dataclass
class WorkQueue:
    """A ring of work requests: what was posted, by its first slot; what waits for room."""

    number: int
    row: int
    producer: int = 0
    consumer: int = 0
    posted: deque[tuple[int, int, SendRequest]] = field(default_factory=deque)
    waiting: deque[SendRequest] = field(default_factory=deque)

    @property
    def base(self) -> int:
        """Where it is."""
        return _WORK_BASE + self.row * (SLOT_BYTES << _RING_SHIFT)


class EngineBed(Bed):
    """:class:`Bed` whose device has a requester.

    Attributes
    ----------
    sends : list of SendCompletion
        In order.
    on_frame : callable
        Gets each frame that the device sends.
    """

    component = ParsedEngine
    driver_ports = (*DRIVER_PORTS, "send_contexts", "doorbells")
    read_ports = ("reads", "atomic_reads", "send_reads", "work_reads")
    address_index = "index"

    def __init__(self, dut: Any, config: RoceConfig, **options: Any):
        self.sends: list[SendCompletion] = []
        self.work: dict[int, WorkQueue] = {}
        self._datagram_rows: dict[bytes, int] = {}
        self.on_frame: Callable[[bytes], None] = lambda frame: None
        super().__init__(dut, config, **options)

    def _take_beat(self, payload: int) -> None:
        self._frame.append(payload)
        if self.beats.is_last(payload):
            frame, error = self.beats.packet(self._frame)
            self._frame = []
            if error:
                self.damaged += 1
            else:
                self.on_frame(frame)

    def put(self, frame: bytes) -> None:
        """Put a frame in, behind those that wait."""
        for beat in self.beats.payloads(frame):
            self.i.put(beat)

    # Work queues.

    async def set_up_send(self, queue_pair: SendQueuePair, **context: int) -> None:
        """Set the active side of a queue pair up anew."""
        row = self._row(queue_pair.number)
        queue = self.work[queue_pair.number] = WorkQueue(queue_pair.number, row)
        fields = {
            "state": 1,
            "service": queue_pair.service.value,
            "number": queue_pair.number,
            "mtu_shift": queue_pair.mtu.bit_length() - 1,
            "p_key": queue_pair.p_key,
            "q_key": queue_pair.q_key,
            "domain": queue_pair.domain,
            "peer": mapped(queue_pair.peer),
            "psn": queue_pair.psn,
            "reads": min(queue_pair.reads, self.config.resources),
            "window": min(queue_pair.window, 1 << 22),
            "timeout": queue_pair.timeout,
            "retries": queue_pair.retries,
            "rnr_retries": queue_pair.rnr_retries,
            "has_credits": queue_pair.has_credits,
            "completion_queue": self.completion_queue(queue_pair.number),
            "ring_space": _WORK_SPACE,
            "ring_address": queue.base,
            "ring_shift": _RING_SHIFT,
            **context,
        }
        self.tell("send_contexts", queue_pair=row, row=fields)
        await self.told()

    def post_send(self, number: int, *requests: SendRequest) -> None:
        """Post work requests, with one doorbell; they wait while the ring has no room."""
        queue = self.work[number]
        queue.waiting.extend(requests)
        self._fill(queue)

    def _fill(self, queue: WorkQueue) -> None:
        size = 1 << _RING_SHIFT
        rung = queue.producer
        while queue.waiting:
            entry = self._encode(queue.waiting[0])
            slots = len(entry) // SLOT_BYTES
            if (queue.producer - queue.consumer) % _SLOTS + slots > size:
                break
            request = queue.waiting.popleft()
            queue.posted.append((queue.producer, slots, request))
            for n in range(slots):
                place = (queue.producer + n) % size
                part = entry[n * SLOT_BYTES : (n + 1) * SLOT_BYTES]
                self.memory.write(_WORK_SPACE, queue.base + place * SLOT_BYTES, part)
            queue.producer = (queue.producer + slots) % _SLOTS
        if queue.producer != rung:
            self.tell("doorbells", queue_pair=queue.row, slot=queue.producer)

    def _encode(self, request: SendRequest) -> bytes:
        if request.datagram is None:
            return encode_entry(request)
        return encode_entry(request, address_row=self._datagram_rows[request.datagram.peer])

    async def set_up_datagrams(self, peer: bytes) -> None:
        """Make an IP address known that datagrams go to."""
        if peer in self._datagram_rows:
            return
        # Behind the rows of queue pairs.
        row = self.config.queue_pairs + len(self._datagram_rows)
        assert row < 2 * self.config.queue_pairs, "too many addresses"
        self._datagram_rows[peer] = row
        self._tell_address(row, peer=peer, queue_pair=0, p_key=0xFFFF)
        await self.told()
        await self.wait(_ROW_CYCLES)

    async def tear_down(self, number: int) -> None:
        """Put both sides of a queue pair into reset."""
        row = {"state": 0, "service": Service.RC.value, "number": number, "mtu_shift": 8}
        self.tell("send_contexts", queue_pair=self._row(number), row=row)
        await super().tear_down(number)

    def _keep(self, queue: int, entry: bytes) -> None:
        if not entry[19] & _SEND_FLAG:
            super()._keep(queue, entry)
            return

        def number_at(place: int, size: int) -> int:
            return int.from_bytes(entry[place : place + size], "little")

        number, first = number_at(12, 3), number_at(8, 4)
        work = self.work[number]
        status = _STATUSES[entry[15]]
        # All that were posted before it have ended too: those that are not signalled.
        while True:
            slot, slots, request = work.posted.popleft()
            work.consumer = (slot + slots) % _SLOTS
            if slot == first:
                break
            assert not request.signalled, f"{request} has no completion"
        assert request.signalled or status is not SendStatus.SUCCESS
        assert number_at(16, 3) == request.kind.value
        length = number_at(4, 4)
        self.sends.append(
            SendCompletion(number, request.identifier, SendKind(request.kind), status, length)
        )
        self._fill(work)
