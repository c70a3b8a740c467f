"""Clients of the memory contract: drive reads and writes from cocotb."""

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import Event

from hdl.dma.memory_port import MemoryRequestLayout, MemoryResponseLayout
from sim.stream import Packet

from ..stream import PacketSink, PacketSource, StreamSink, StreamSource
from ..stream.stream_port import never
from .fields import FieldReader, pack_fields

__all__ = ["OK", "MemoryReader", "MemoryWriter"]

OK = 0
_REQUEST = MemoryRequestLayout()
_RESPONSE = FieldReader(MemoryResponseLayout())


class _Client:
    """Requests and responses of one client.

    Parameters
    ----------
    dut : handle
        Top level.
    name : str
        Member of a memory signature, as ``reads__0``.
    pause : callable
        Asked in each cycle by every stream of it.
    """

    def __init__(self, dut: Any, name: str, *, pause: Callable[[], bool] = never):
        self.requests = StreamSource(dut, f"{name}__request", pause=pause)
        self.responses = StreamSink(dut, f"{name}__response", pause=pause)
        self._jobs: Queue[tuple[int, int, Event, list[Any]]] = Queue()
        self._next_tag = 0
        cocotb.start_soon(self._collect())

    def _request(self, address: int, length: int, **fields: int) -> tuple[Event, list[Any]]:
        tag = self._next_tag
        self._next_tag = (tag + 1) % 256
        self.requests.send_value(
            pack_fields(_REQUEST, address=address, length=length, tag=tag, **fields)
        )
        ended, result = Event(), []
        self._jobs.put_nowait((tag, length, ended, result))
        return ended, result

    async def _packet(self, length: int) -> Packet | None:
        raise NotImplementedError

    async def _collect(self) -> None:
        while True:
            tag, length, ended, result = await self._jobs.get()
            packet = await self._packet(length)
            response = _RESPONSE.read(await self.responses.received.get())
            assert response.tag == tag, f"response of request {response.tag}, not {tag}"
            result.extend((packet, response.status))
            ended.set()


class MemoryReader(_Client):
    """Client that reads."""

    def __init__(self, dut: Any, name: str, data_bytes: int, *, pause: Callable[[], bool] = never):
        self.data = PacketSink(dut, f"{name}__data", data_bytes, pause=pause)
        super().__init__(dut, name, pause=pause)

    async def _packet(self, length: int) -> Packet | None:
        return await self.data.received.get() if length else None

    async def read(self, address: int, length: int, **fields: int) -> tuple[bytes, int]:
        """Read; give the bytes and the status."""
        ended, result = self._request(address, length, **fields)
        await ended.wait()
        packet, status = result
        if packet is None:
            return b"", status
        assert len(packet.data) == length, f"{len(packet.data)} bytes, not {length}"
        assert packet.error == (status != OK), f"error {packet.error} with status {status}"
        return packet.data, status


class MemoryWriter(_Client):
    """Client that writes."""

    def __init__(self, dut: Any, name: str, data_bytes: int, *, pause: Callable[[], bool] = never):
        self.data = PacketSource(dut, f"{name}__data", data_bytes, pause=pause)
        super().__init__(dut, name, pause=pause)

    async def _packet(self, length: int) -> Packet | None:
        return None

    async def write(self, address: int, data: bytes, **fields: int) -> int:
        """Write; give the status."""
        ended, result = self._request(address, len(data), **fields)
        if data:
            self.data.send(Packet(data))
        await ended.wait()
        return result[1]
