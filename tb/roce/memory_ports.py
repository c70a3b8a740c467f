"""Memory behind the engine's ports: what it reads and writes, with any latency."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from hdl.dma.memory_port import MemoryRequestLayout, MemoryResponseLayout
from hdl.stream import PacketLayout
from sim.roce import Memory

from .ports import Offer, Packer

__all__ = ["Beats", "Later", "ReadPort", "WritePort"]

_REQUEST = Packer(MemoryRequestLayout())
_RESPONSE = Packer(MemoryResponseLayout())
_OK, _ABORT = 0, 2

#: Says whether memory refuses an access to space, address and length.
Refuses = Callable[[int, int, int], bool]


class Later:
    """What is to happen in a cycle to come."""

    def __init__(self):
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self.cycle = 0

    def at(self, cycle: int, what: Callable[[], None]) -> None:
        """Call ``what`` in ``cycle``, or in the next if that is past."""
        self._serial += 1
        heapq.heappush(self._heap, (cycle, self._serial, what))

    def step(self) -> None:
        """Call what is due."""
        while self._heap and self._heap[0][0] <= self.cycle:
            heapq.heappop(self._heap)[2]()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to happen."""
        return not self._heap


class Beats:
    """Packets as payloads of a stream, and back."""

    def __init__(self, data_bytes: int):
        layout = PacketLayout(data_bytes)
        self.data_bytes = data_bytes
        self._keep = layout["keep"].offset
        self._last = 1 << layout["last"].offset
        self._error = 1 << layout["error"].offset
        self._full = ((1 << data_bytes) - 1) << self._keep
        self._data = (1 << 8 * data_bytes) - 1

    def payloads(self, packet: bytes, *, error: bool = False) -> list[int]:
        """Beats of a packet of one byte or more."""
        size = self.data_bytes
        beats = [
            int.from_bytes(packet[n : n + size], "little") | self._full
            for n in range(0, len(packet), size)
        ]
        left = (len(packet) - 1) % size + 1
        beats[-1] &= ~self._full
        beats[-1] |= ((1 << left) - 1) << self._keep | self._last
        if error:
            beats[-1] |= self._error
        return beats

    def is_last(self, payload: int) -> bool:
        """Whether a packet ends here."""
        return bool(payload & self._last)

    def packet(self, payloads: list[int]) -> tuple[bytes, bool]:
        """Packet of these beats, and whether it is damaged."""
        size = self.data_bytes
        for beat in payloads[:-1]:
            assert beat & self._full == self._full, "a beat that is not the last is not full"
        last = payloads[-1]
        keep = (last & self._full) >> self._keep
        assert keep and not keep & (keep + 1), f"the last beat keeps {keep:#x}"
        parts = [(beat & self._data).to_bytes(size, "little") for beat in payloads]
        parts[-1] = parts[-1][: keep.bit_length()]
        return b"".join(parts), bool(last & self._error)


class _Port:
    """What reads and writes share: requests served in order, each after a random time."""

    def __init__(self, later: Later, memory: Memory, responses: Offer, latency: tuple[int, int]):
        self.later = later
        self.memory = memory
        self.responses = responses
        self.latency = latency
        self.refuses: Refuses = lambda space, address, length: False
        self.pending = 0
        self._due = 0

    def _when(self) -> int:
        self._due = max(self._due, self.later.cycle + random.randint(*self.latency))
        return self._due

    def _check(self, request: dict[str, Any]) -> None:
        assert request["address"] + request["length"] <= 1 << 64, f"wraps around: {request}"

    def _respond(self, tag: int, status: int) -> None:
        self.pending -= 1
        self.responses.put(_RESPONSE.pack(tag=tag, status=status))


class ReadPort(_Port):
    """Serve reads: memory is looked at when the data begins to come."""

    def __init__(self, later, memory, responses, latency, data: Offer, beats: Beats):
        super().__init__(later, memory, responses, latency)
        self._data = data
        self._beats = beats

    def request(self, payload: int) -> None:
        """Take a request."""
        request = _REQUEST.read(payload)
        self._check(request)
        self.pending += 1
        self.later.at(self._when(), lambda: self._serve(request))

    def _serve(self, request: dict[str, Any]) -> None:
        space, address, length = request["space"], request["address"], request["length"]
        refused = self.refuses(space, address, length)
        data = bytes(length) if refused else self.memory.read(space, address, length)
        status = _ABORT if refused else _OK
        tag = request["tag"]
        if not length:
            self._respond(tag, status)
            return
        payloads = self._beats.payloads(data, error=refused)
        for beat in payloads[:-1]:
            self._data.put(beat)
        self._data.put(payloads[-1], lambda: self._respond(tag, status))


class WritePort(_Port):
    """Serve writes: they take effect when they are answered."""

    def __init__(self, later, memory, responses, latency, beats: Beats):
        super().__init__(later, memory, responses, latency)
        self._beats = beats
        self._requests: deque[dict[str, Any]] = deque()
        self._packets: deque[tuple[bytes, bool]] = deque()
        self._current: list[int] = []

    def request(self, payload: int) -> None:
        """Take a request."""
        request = _REQUEST.read(payload)
        self._check(request)
        self.pending += 1
        self._requests.append(request)
        self._match()

    def data(self, payload: int) -> None:
        """Take a beat."""
        self._current.append(payload)
        if self._beats.is_last(payload):
            self._packets.append(self._beats.packet(self._current))
            self._current = []
            self._match()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in between."""
        return not self.pending and not self._packets and not self._current

    def _match(self) -> None:
        while self._requests and (self._packets or not self._requests[0]["length"]):
            request = self._requests.popleft()
            data, error = self._packets.popleft() if request["length"] else (b"", False)
            assert not error, "the engine cancelled a write"
            assert len(data) == request["length"], f"{len(data)} bytes for {request}"
            self.later.at(self._when(), lambda r=request, d=data: self._serve(r, d))

    def _serve(self, request: dict[str, Any], data: bytes) -> None:
        space, address = request["space"], request["address"]
        refused = self.refuses(space, address, len(data))
        if not refused and data:
            self.memory.write(space, address, data)
        self._respond(request["tag"], _ABORT if refused else _OK)
