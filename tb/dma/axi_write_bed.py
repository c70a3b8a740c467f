"""Clients that write through an AXI4 engine, and what must come of it."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import ClockCycles, RisingEdge

from hdl.dma import MemoryRequestLayout, MemoryResponseLayout
from sim.dma import Write, axi_write_outcome
from sim.stream import Packet
from tb.stream import PacketSource, StreamSink, StreamSource
from tb.stream.stream_port import never

from .axi_slave import AxiWriteSlave, okay
from .fields import FieldReader, pack_fields

__all__ = ["TIMEOUT", "AxiWriteBed", "random_write"]

TIMEOUT = 4
_REQUEST = MemoryRequestLayout()
_RESPONSE = FieldReader(MemoryResponseLayout())
_STATUS = {0: 0, 1: 0, 2: 2, 3: 1}


@dataclass
class _Open:
    """A request without its response: its tag, its status, how many bursts come with it."""

    tag: int
    status: int
    bursts: int


def random_write(client: int, *, most_bytes: int, bad: float = 0.0) -> Write:
    """Make a write of 0 to ``most_bytes`` bytes into the client's part of memory."""
    length = random.choice([0, 1, random.randint(0, most_bytes), random.randint(0, 40)])
    page = client << 40 | random.getrandbits(20) << 12
    offset = random.choice([0, random.randrange(4096), random.randint(4000, 4095)])
    count, error = length, False
    if length and random.random() < bad:
        count = max(1, length + random.choice([-1, 1, -40, 40, -random.randint(0, length)]))
        error = random.random() < 0.4
    data = random.randbytes(count) if length else b""
    return Write(page + offset, length, data, tag=random.getrandbits(8), error=error)


class _Responses(StreamSink):
    """Receive responses: each when the memory has answered all bursts before."""

    def __init__(self, bed: "AxiWriteBed", client: int, pause: Callable[[], bool]):
        super().__init__(bed.dut, f"writes__{client}__response", pause=pause)
        self.bed, self.client = bed, client

    def accept(self, value: int) -> None:
        """Compare with the model."""
        bed, client, fields = self.bed, self.client, _RESPONSE.read(value)
        if bed.dut.rst.value:
            return
        assert bed.open[client], "a response to nothing"
        request = bed.open[client].popleft()
        assert fields.tag == request.tag
        bed.statuses[client].append(fields.status)
        bed.answered[client] += request.bursts
        if client in bed.slow:
            return
        assert fields.status == request.status, f"{fields.status}: {request}"
        if bed.slave is not None:
            assert bed.slave.done[client] >= bed.answered[client], "before the memory's answer"


class AxiWriteBed:
    """Write ports of ``dut``, and the memory behind; everything is compared with the model.

    Attributes
    ----------
    statuses : list of list of int
        Of each client, in order.
    slow : set of int
        Clients whose requests may time out; what they write is not compared.
    slave : AxiWriteSlave
        The memory.
    content : dict
        Bytes that must have been written.
    """

    def __init__(
        self,
        dut: Any,
        *,
        client_count: int,
        data_bytes: int,
        resp: Callable[[int], int] = okay,
        client_pause: Callable[[], bool] = never,
        slave_pause: Callable[[], bool] = never,
        latency: int = 1,
        slave: bool = True,
    ):
        self.dut = dut
        self.data_bytes = data_bytes
        self.client_count = client_count
        self.resp = resp
        clients = range(client_count)
        self.slow: set[int] = set()
        self.requests = [
            StreamSource(dut, f"writes__{n}__request", pause=client_pause) for n in clients
        ]
        self.packets = [
            PacketSource(dut, f"writes__{n}__data", data_bytes, pause=client_pause) for n in clients
        ]
        self.responses = [_Responses(self, n, client_pause) for n in clients]
        self.slave: AxiWriteSlave | None = None
        if slave:
            self.slave = AxiWriteSlave(
                dut,
                data_bytes=data_bytes,
                resp=resp,
                address_pause=slave_pause,
                data_pause=slave_pause,
                response_pause=slave_pause,
                latency=latency,
            )
        self.forget()

    def forget(self) -> None:
        """Forget all that was asked and that came; only when nothing is under way."""
        clients = range(self.client_count)
        self.open: list[deque[_Open]] = [deque() for _ in clients]
        self.statuses: list[list[int]] = [[] for _ in clients]
        self.answered = [0 for _ in clients]
        self.bursts: list[deque[Any]] = [deque() for _ in clients]
        self.content: dict[int, int] = {}
        if self.slave is not None:
            self.slave.bursts.clear()
            self.slave.done.clear()
            self.slave.content.clear()

    def request(self, client: int, write: Write) -> None:
        """Queue the request of ``write`` without its packet, and expect what the model says."""
        outcome = axi_write_outcome(write, data_bytes=self.data_bytes)
        answers = [_STATUS[self.resp(burst.address)] for burst in outcome.bursts]
        failure = next((status for status in answers if status), 0)
        self.open[client].append(_Open(write.tag, outcome.status or failure, len(outcome.bursts)))
        self.bursts[client].extend(outcome.bursts)
        self.content |= outcome.content
        self.requests[client].send_value(
            pack_fields(_REQUEST, address=write.address, length=write.length, tag=write.tag)
        )

    def write(self, client: int, write: Write) -> None:
        """Queue ``write`` and its packet."""
        self.request(client, write)
        if write.length:
            self.packets[client].send(Packet(write.data, write.error))

    @property
    def idle(self) -> bool:
        """Whether every request was answered."""
        return not any(self.open) and all(source.idle for source in self.packets)

    async def settle(self) -> None:
        """Wait until every request was answered; what was written must be the model's."""
        edge = RisingEdge(self.dut.clk)
        while not self.idle:
            await edge
        await ClockCycles(self.dut.clk, 12)
        if self.slave is None:
            return
        assert not self.slave.owed
        for client, bursts in enumerate(self.bursts):
            if client not in self.slow:
                assert self.slave.bursts[client] == bursts
        if not self.slow:
            assert self.slave.content == self.content
