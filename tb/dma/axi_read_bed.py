"""Clients that read through an AXI4 engine, and what they must get."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from cocotb.triggers import ClockCycles, RisingEdge

from hdl.dma import MemoryRequestLayout, MemoryResponseLayout
from sim.dma import Answer, ReadRequest, axi_answer, axi_read_bursts
from sim.stream import Packet
from tb.stream import PacketSink, StreamSink, StreamSource
from tb.stream.stream_port import never

from .axi_slave import AxiReadSlave, okay
from .fields import FieldReader, pack_fields

__all__ = ["TIMEOUT", "AxiReadBed", "pattern"]

TIMEOUT = 4
_REQUEST = MemoryRequestLayout()
_RESPONSE = FieldReader(MemoryResponseLayout())
_PATTERN = random.Random(7).randbytes(65521)  # a prime: no two pages are equal
_LONG = _PATTERN + _PATTERN[:4096]


def pattern(address: int, length: int) -> bytes:
    """Content of the memory: ``length`` bytes, 4096 at most."""
    begin = address % len(_PATTERN)
    return _LONG[begin : begin + length]


class _Responses(StreamSink):
    """Receive responses; each after the last beat of its packet has been offered."""

    def __init__(self, bed: "AxiReadBed", client: int, pause: Callable[[], bool]):
        super().__init__(bed.dut, f"reads__{client}__response", pause=pause)
        self.bed, self.client = bed, client

    def accept(self, value: int) -> None:
        """Compare with the model; drivers of responses run before those of data."""
        if self.bed.dut.rst.value:
            return
        fields = _RESPONSE.read(value)
        bed = self.bed
        assert bed.requests[self.client], "a response to nothing"
        request, answer = bed.requests[self.client].popleft()
        assert fields.tag == request.tag
        bed.statuses[self.client].append(fields.status)
        if not bed.may_time_out(self.client):
            assert fields.status == answer.status, f"{fields.status}: {request}"
        bed.due[self.client] += bool(request.length)
        data = bed.data[self.client]
        assert data.packets + int(data.valid.value) >= bed.due[self.client], "before its packet"


class _Data(PacketSink):
    """Receive packets: exactly those of the model; of a read that timed out, zeros or them."""

    def __init__(self, bed: "AxiReadBed", client: int, pause: Callable[[], bool]):
        super().__init__(bed.dut, f"reads__{client}__data", bed.data_bytes, pause=pause)
        self.bed, self.client = bed, client
        self.packets = 0

    def accept(self, value: int) -> None:
        """Collect beats; compare with the last."""
        if self.bed.dut.rst.value:
            return
        super().accept(value)
        if self.received.empty():
            return
        packet = self.received.get_nowait()
        assert self.bed.packets[self.client], "a packet that nobody asked for"
        answer = self.bed.packets[self.client].popleft()
        self.packets += 1
        if self.bed.may_time_out(self.client) and packet.error:
            assert len(packet.data) == len(answer.data)
            for place, byte in enumerate(packet.data):
                assert byte in (0, answer.data[place])
        else:
            assert packet == Packet(answer.data, bool(answer.status)), str(answer)[:200]


class AxiReadBed:
    """Read ports of ``dut``, and the memory behind; everything is compared with the model.

    Attributes
    ----------
    statuses : list of list of int
        Of each client, in order.
    slow : set of int
        Clients whose requests may time out.
    slave : AxiReadSlave
        The memory.
    """

    def __init__(
        self,
        dut: Any,
        *,
        client_count: int,
        data_bytes: int,
        burst_bytes: int,
        resp: Callable[[int], int] = okay,
        client_pause: Callable[[], bool] = never,
        slave_pause: Callable[[], bool] = never,
        latency: int = 1,
        slave: bool = True,
    ):
        self.dut = dut
        self.data_bytes = data_bytes
        self.burst_bytes = burst_bytes
        self.resp = resp
        clients = range(client_count)
        self.slow: set[int] = set()
        self.forget(client_count)
        self.sources = [
            StreamSource(dut, f"reads__{n}__request", pause=client_pause) for n in clients
        ]
        self.responses = [_Responses(self, n, client_pause) for n in clients]
        self.data = [_Data(self, n, client_pause) for n in clients]
        self.slave: AxiReadSlave | None = None
        if slave:
            self.slave = AxiReadSlave(
                dut,
                data_bytes=data_bytes,
                memory=pattern,
                resp=resp,
                ready_pause=slave_pause,
                beat_pause=slave_pause,
                latency=latency,
            )

    def forget(self, client_count: int) -> None:
        """Forget what was asked; only before traffic or in reset."""
        self.requests: list[deque[tuple[ReadRequest, Answer]]] = [
            deque() for _ in range(client_count)
        ]
        self.packets: list[deque[Answer]] = [deque() for _ in range(client_count)]
        self.statuses: list[list[int]] = [[] for _ in range(client_count)]
        self.due = [0] * client_count
        self.bursts: list[deque[Any]] = [deque() for _ in range(client_count)]

    def may_time_out(self, client: int) -> bool:
        """Whether TIMEOUT is a right answer for ``client``."""
        return client in self.slow

    def ask(self, client: int, request: ReadRequest) -> None:
        """Queue ``request``, and expect what the model says."""
        answer = axi_answer(request, data_bytes=self.data_bytes, memory=pattern, resp=self.resp)
        self.requests[client].append((request, answer))
        if request.length:
            self.packets[client].append(answer)
        self.bursts[client].extend(
            axi_read_bursts(request, data_bytes=self.data_bytes, burst_bytes=self.burst_bytes)
        )
        self.sources[client].send_value(
            pack_fields(_REQUEST, address=request.address, length=request.length, tag=request.tag)
        )

    @property
    def idle(self) -> bool:
        """Whether every request was answered, and every packet came."""
        return not any(self.requests) and not any(self.packets)

    async def settle(self) -> None:
        """Wait until every request was answered; all bursts must have been the model's."""
        edge = RisingEdge(self.dut.clk)
        while not self.idle:
            await edge
        await ClockCycles(self.dut.clk, 12)
        if self.slave is not None and not self.slow:
            for client, bursts in enumerate(self.bursts):
                assert self.slave.bursts[client] == bursts
                bursts.clear()
                self.slave.bursts[client].clear()
            assert not self.slave.owed
