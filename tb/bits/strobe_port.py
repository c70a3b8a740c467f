"""Drive and observe values without backpressure, and beats of them, from cocotb."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.bits import BeatLayout
from tb.stream.stream_port import never

__all__ = ["BeatSource", "StrobeSink", "StrobeSource"]


class StrobeSource:
    """Send queued values on ``i``; in cycles where ``pause()`` is true, send nothing.

    Between values, random bits are driven.

    Attributes
    ----------
    sent : list of tuple
        Cycle and value of each that was sent, but under reset.
    """

    def __init__(self, dut: Any, width: int, *, pause: Callable[[], bool] = never):
        self.dut = dut
        self.width = width
        self.pause = pause
        self.queue: deque[int] = deque()
        self.sent: list[tuple[int, int]] = []
        dut.i__valid.value = 0
        cocotb.start_soon(self._run())

    async def drain(self) -> None:
        """Wait until the last queued value has gone."""
        edge = RisingEdge(self.dut.clk)
        while self.queue or self.dut.i__valid.value:
            await edge

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        cycle = 0
        offered: int | None = None
        while True:
            await edge
            cycle += 1
            if offered is not None and not self.dut.rst.value:
                self.sent.append((cycle, offered))
            offered = None if not self.queue or self.pause() else self.queue.popleft()
            self.dut.i__valid.value = int(offered is not None)
            filler = random.getrandbits(self.width)
            self.dut.i__payload.value = filler if offered is None else offered


class BeatSource(StrobeSource):
    """Send packets as beats; bytes that are not kept are random."""

    def __init__(self, dut: Any, data_bytes: int, *, pause: Callable[[], bool] = never):
        layout = BeatLayout(data_bytes)
        super().__init__(dut, layout.size, pause=pause)
        self.data_bytes = data_bytes
        self.keep_at = layout["keep"].offset
        self.last_at = layout["last"].offset

    def send(self, packet: bytes) -> None:
        """Queue a packet."""
        size = self.data_bytes
        for start in range(0, len(packet), size):
            chunk = packet[start : start + size]
            self.send_beat(chunk, (1 << len(chunk)) - 1, start + size >= len(packet))

    def send_beat(self, chunk: bytes, keep: int, last: bool) -> None:
        """Queue one beat, whether or not it keeps the rules."""
        filled = chunk + random.randbytes(self.data_bytes - len(chunk))
        value = int.from_bytes(filled, "little") | keep << self.keep_at | last << self.last_at
        self.queue.append(value)

    @property
    def lasts(self) -> list[int]:
        """Cycle of each last beat sent."""
        return [cycle for cycle, value in self.sent if value >> self.last_at & 1]


class StrobeSink:
    """Note every value of ``o``, but under reset, and the cycle it came in.

    Attributes
    ----------
    received : list of tuple
        Cycle and value of each.
    """

    def __init__(self, dut: Any):
        self.dut = dut
        self.received: list[tuple[int, int]] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        cycle = 0
        while True:
            await edge
            cycle += 1
            if self.dut.o__valid.value and not self.dut.rst.value:
                self.received.append((cycle, int(self.dut.o__payload.value)))
