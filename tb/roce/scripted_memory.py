"""Translator and memory whose every answer a test writes down in advance."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.dma import MemoryRequestLayout, MemoryResponseLayout
from hdl.roce.config import RoceConfig
from hdl.roce.layouts import SpanLayout, TranslateRequestLayout, TranslateResponseLayout
from sim.stream import Packet

from ..dma.fields import FieldReader, pack_fields
from ..stream import PacketSink, PacketSource, StreamSink, StreamSource, chance

__all__ = ["ScriptedReads", "ScriptedTranslator", "ScriptedWrites", "Strobes", "Translation"]

_REQUEST = FieldReader(MemoryRequestLayout())
_RESPONSE = MemoryResponseLayout()
_TRANSLATED = TranslateResponseLayout()
_SPAN = SpanLayout()


@dataclass(frozen=True)
class Translation:
    """What a place is: its key's row and first byte, its length, and spans (None: refused)."""

    key: int
    linear: int
    length: int
    spans: tuple[tuple[int, int, int], ...] | None

    def pack(self) -> int:
        """Response of the Translator. What no field says is anything."""
        value = random.getrandbits(_TRANSLATED.size) & ~1
        if self.spans is None:
            return value
        spans = [*self.spans, (0, random.getrandbits(64), 0)]
        value = 1
        for place, (space, address, length) in enumerate(spans[:2]):
            span = pack_fields(_SPAN, space=space, address=address, length=length)
            value |= span << _TRANSLATED["spans"].offset + place * _SPAN.size
        return value


class ScriptedTranslator(StreamSink):
    """Answer requests ``latency`` cycles after they are taken, in the order of ``script``."""

    def __init__(self, dut: Any, config: RoceConfig, *, latency: int, stall: float = 0.0):
        self.layout = FieldReader(TranslateRequestLayout(config))
        self.script: deque[Translation] = deque()
        self.latency = latency
        self.due: deque[tuple[int, int]] = deque()
        self.response = dut.translate__response
        self.rst = dut.rst
        self.response.value = 0
        super().__init__(dut, "translate__request", pause=chance(stall))
        cocotb.start_soon(self._respond())

    def accept(self, value: int) -> None:
        """Compare a request with the script, and remember when to answer."""
        request = self.layout.read(value)
        expected = self.script.popleft()
        assert request.place.key == expected.key
        assert request.place.linear == expected.linear
        assert request.length == expected.length
        assert not request.invalidate
        self.due.append((self.cycle, expected.pack()))

    def forget(self) -> None:
        """Forget the script; behind a reset, which made it forget what was to be answered."""
        self.script.clear()

    async def _respond(self) -> None:
        edge = RisingEdge(self.clk)
        cycle = 0
        was = False
        while True:
            await edge
            cycle += 1
            # Taken at this edge, by a sink that may run before or after: answered `latency` later.
            if self.rst.value:
                self.due.clear()
            if self.due and self.due[0][0] + self.latency - 1 <= cycle:
                self.response.value = 1 | self.due.popleft()[1] << 1
                was = True
            elif was:
                self.response.value = random.getrandbits(_TRANSLATED.size) << 1
                was = False


class _Requests(StreamSink):
    """Compare requests of memory with ``script``, whose rows begin with span and status."""

    def __init__(self, dut: Any, name: str, pause: Callable[[], bool]):
        self.script: deque[tuple[tuple[int, int, int], int, bytes]] = deque()
        super().__init__(dut, f"{name}__request", pause=pause)

    def accept(self, value: int) -> None:
        """Take a request; hand on when it came, its status and data."""
        request = _REQUEST.read(value)
        span, status, content = self.script.popleft()
        assert (request.space, request.address, request.length) == span
        self.received.put_nowait((self.cycle, status, content))


class _Scripted:
    """Memory that serves one request after the other as ``script`` says.

    Parameters
    ----------
    dut : handle
    name : str
        Port: ``reads`` or ``writes``.
    data : PacketSource or PacketSink
        Its data.
    latency : callable
        Cycles that memory takes.
    pause : callable
        Of request and response.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        data: PacketSource | PacketSink,
        latency: Callable[[], int],
        pause: Callable[[], bool],
    ):
        self.requests = _Requests(dut, name, pause)
        self.responses = StreamSource(dut, f"{name}__response", pause=pause)
        self.latency = latency
        self.script = self.requests.script
        self.ports = (self.requests, data, self.responses)
        self.task = cocotb.start_soon(self._run())

    def forget(self) -> None:
        """Forget the script and what is under way; right behind a reset of ``ports``."""
        self.script.clear()
        self.task.cancel()
        for port in self.ports:
            port.flush()
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            came, status, content = await self.requests.received.get()
            await self._serve(came, status, content)
            self.responses.send_value(pack_fields(_RESPONSE, status=status))

    async def _serve(self, came: int, status: int, content: bytes) -> None:
        """Move the data of a request that came in this cycle."""
        raise NotImplementedError

    async def _wait_until(self, cycle: int) -> None:
        edge = RisingEdge(self.requests.clk)
        while self.requests.cycle < cycle:
            await edge


class ScriptedReads(_Scripted):
    """Memory to read: ``latency()`` cycles or more from a request to its data, in order."""

    def __init__(
        self, dut: Any, data_bytes: int, *, latency: Callable[[], int], stall: float = 0.0
    ):
        pause = chance(stall)
        self.data = PacketSource(dut, "reads__data", data_bytes, pause=pause)
        super().__init__(dut, "reads", self.data, latency, pause)

    async def _serve(self, came: int, status: int, content: bytes) -> None:
        await self._wait_until(came + self.latency())
        self.data.send(Packet(content, bool(status)))


class ScriptedWrites(_Scripted):
    """Memory to write: a response ``latency()`` cycles after request and data."""

    def __init__(
        self, dut: Any, data_bytes: int, *, latency: Callable[[], int], stall: float = 0.0
    ):
        pause = chance(stall)
        self.data = PacketSink(dut, "writes__data", data_bytes, pause=pause)
        super().__init__(dut, "writes", self.data, latency, pause)

    async def _serve(self, came: int, status: int, content: bytes) -> None:
        assert await self.data.received.get() == Packet(content)
        await self._wait_until(self.requests.cycle + self.latency())


class Strobes:
    """Queue pairs that a strobe named, in order."""

    def __init__(self, dut: Any, name: str):
        self.clk = dut.clk
        self.signal = dut[name]
        self.reset = dut.rst
        self.seen: list[int] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        while True:
            await edge
            value = int(self.signal.value)
            if value & 1 and not self.reset.value:
                self.seen.append(value >> 1)
