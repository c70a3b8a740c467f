"""Memory behind a write port: slow, stalling, with a path of its own for each space."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hdl.dma.memory_port import MemoryRequestLayout, MemoryResponseLayout
from sim.roce import Memory
from sim.stream import Packet

from ..dma.fields import FieldReader, pack_fields
from ..stream import PacketSink, StreamSink, StreamSource, chance

__all__ = ["MemoryWrite", "WriteMemory"]

_REQUEST = FieldReader(MemoryRequestLayout())
_RESPONSE = MemoryResponseLayout()


@dataclass(eq=False)
class MemoryWrite:
    """A write, ``seen`` first at that time; ``arrived`` when its bytes are in memory."""

    space: int
    address: int
    length: int
    tag: int
    seen: float
    data: bytes = b""
    status: int = 0
    whole_at: int | None = None
    is_sent: bool = False
    responded: bool = False
    arrived: bool = False


class _Responses(StreamSource):
    """Responses, each of which marks its write when it is taken."""

    def __init__(self, *args: Any, **options: Any):
        self.writes: deque[MemoryWrite] = deque()
        super().__init__(*args, **options)

    def respond(self, write: MemoryWrite) -> None:
        write.is_sent = True
        self.writes.append(write)
        self.send_value(pack_fields(_RESPONSE, tag=write.tag, status=write.status))

    def _count(self) -> None:
        super()._count()
        if self.writes:  # none in reset
            self.writes.popleft().responded = True


def _often(probability: float) -> Callable[[], bool]:
    """Say yes with the given probability, without asking for a random number where it is 1."""
    return chance(probability) if probability < 1.0 else lambda: True


class WriteMemory:
    """Take writes; each arrives some time after it was sent, those of one space in order.

    Parameters
    ----------
    dut : handle
        Top level, with a memory's write signature ``writes``.
    data_bytes : int
    stall : float
        How often each stream pauses.
    response_chance, arrival_chance : float
        How often in a cycle the oldest write gets its response, and how often the oldest of a space
        arrives.
    latency : int
        Cycles at least from when a write is whole to its response.
    most : int
        Requests are refused while about as many writes have not been responded to.
    in_turns : bool
        Whether a request is taken only when the packet before is whole, and a packet only
        when its request has been taken.

    Attributes
    ----------
    memory : Memory
    writes : list of MemoryWrite
        All that were seen.
    held : set of int
        Spaces in which nothing arrives.
    status_of : callable
        Says what becomes of a write.
    responds : callable
        Says whether the oldest write may have its response in this cycle.
    on_request, on_arrival : callable
        Are told of each write: when ``valid`` of its request is seen first; when it arrives.
    """

    def __init__(
        self,
        dut: Any,
        data_bytes: int,
        *,
        stall: float = 0.0,
        response_chance: float = 1.0,
        arrival_chance: float = 1.0,
        latency: int = 0,
        most: int = 1000,
        in_turns: bool = False,
    ):
        self.dut = dut
        self.memory = Memory()
        self.writes: list[MemoryWrite] = []
        self.held: set[int] = set()
        self.status_of: Callable[[MemoryWrite], int] = lambda write: 0
        self.on_request: Callable[[MemoryWrite], None] = lambda write: None
        self.on_arrival: Callable[[MemoryWrite], None] = lambda write: None
        self.latency = latency
        self.most = most
        self.responds = _often(response_chance)
        self._arrives = _often(arrival_chance)
        pauses = chance(stall)
        self._taken = 0
        self._waiting: deque[MemoryWrite] = deque()  # for their packets
        self.unanswered: deque[MemoryWrite] = deque()
        self._paths: dict[int, deque[MemoryWrite]] = {space: deque() for space in range(4)}
        self.requests = StreamSink(
            dut,
            "writes__request",
            pause=lambda: (
                pauses()
                or (in_turns and self._behind() > 0)
                or len(self.unanswered) + len(self.responses.writes) > self.most
            ),
        )
        self.packets = PacketSink(
            dut,
            "writes__data",
            data_bytes,
            pause=lambda: pauses() or (in_turns and self._behind() <= 0),
        )
        self.responses = _Responses(dut, "writes__response", pause=chance(stall))
        cocotb.start_soon(self._run())

    def _behind(self) -> int:
        """Count requests that were taken and whose packets are not whole."""
        return self.requests.accepted - self._taken

    def flush(self) -> None:
        """Forget what is under way; only under reset."""
        self.requests.restart()
        self._taken = 0
        self.writes.clear()
        self.responses.writes.clear()
        for queue in (self._waiting, self.unanswered, *self._paths.values()):
            queue.clear()

    def settle(self) -> None:
        """Let all arrive that has its response: who reads from memory pushes them on."""
        for path in self._paths.values():
            while path and path[0].responded:
                self._arrive(path.popleft())

    @property
    def idle(self) -> bool:
        """Whether all that was seen has its response."""
        return not self.unanswered and not self.responses.writes and not self._waiting

    def _arrive(self, write: MemoryWrite) -> None:
        if not write.status:
            self.memory.write(write.space, write.address, write.data)
        write.arrived = True
        self.on_arrival(write)

    def _see(self, value: int) -> None:
        request = _REQUEST.read(value)
        assert not request.no_snoop | request.relaxed_ordering | request.id_ordering
        write = MemoryWrite(
            request.space, request.address, request.length, request.tag, get_sim_time("step")
        )
        self.writes.append(write)
        self.on_request(write)
        self._waiting.append(write)
        self.unanswered.append(write)

    def _fill(self) -> None:
        while self._waiting:
            write = self._waiting[0]
            if write.length:
                if self.packets.received.empty():
                    return
                packet: Packet = self.packets.received.get_nowait()
                write.data = packet.data
                assert packet.error or len(packet.data) == write.length
            self._taken += 1
            self._waiting.popleft()
            write.whole_at = self.requests.cycle
            write.status = self.status_of(write)
            self._paths[write.space].append(write)

    def _can_respond(self, write: MemoryWrite) -> bool:
        if write.whole_at is None or self.requests.cycle < write.whole_at + self.latency:
            return False
        # A write of no bytes flushes its path.
        return bool(write.length) or write.arrived or self._paths[write.space][0] is write

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        valid, ready, payload = self.requests.valid, self.requests.ready, self.requests.payload
        fresh = True
        while True:
            await edge
            if self.dut.rst.value:
                fresh = True
                continue
            if valid.value:
                if fresh:
                    self._see(int(payload.value))
                fresh = bool(ready.value)
            else:
                fresh = True
            self._fill()
            responds = self.unanswered and self.responds()
            if responds and self._can_respond(self.unanswered[0]):
                self.responses.respond(self.unanswered.popleft())
            for space, path in self._paths.items():
                if path and space not in self.held and self._arrives():
                    self._arrive(path.popleft())

    async def until_idle(self) -> None:
        """Wait until all that was seen has its response."""
        edge = RisingEdge(self.dut.clk)
        while not self.idle:
            await edge
