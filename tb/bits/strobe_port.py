"""Drive and observe beats and values without backpressure from cocotb."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.bits import BeatLayout
from tb.stream.stream_port import chance, never

__all__ = ["BeatSource", "StrobeSink", "chance"]


class BeatSource:
    """Send queued packets as beats; in cycles where ``pause()`` is true, send nothing.

    Where nothing is meant, random bits are driven: in the payload between beats, and in bytes that
    are not kept.

    Attributes
    ----------
    cycle : int
        Clock edges seen.
    lasts : list of int
        Cycle of each last beat, in order.
    firsts : list of int
        Cycle of each packet's first beat.
    beats : int
        Beats sent.
    """

    def __init__(self, dut: Any, data_bytes: int, *, pause: Callable[[], bool] = never):
        self.dut = dut
        self.data_bytes = data_bytes
        self.pause = pause
        self.layout = BeatLayout(data_bytes)
        self.keep_at = self.layout["keep"].offset
        self.last_at = self.layout["last"].offset
        self.queue: deque[tuple[int, bool]] = deque()
        self.cycle = self.beats = 0
        self.lasts: list[int] = []
        self.firsts: list[int] = []
        self.in_packet = False
        dut.i__valid.value = 0
        cocotb.start_soon(self._run())

    def send(self, data: bytes) -> None:
        """Queue a packet."""
        size = self.data_bytes
        for start in range(0, len(data), size):
            chunk = data[start : start + size]
            self.send_beat(chunk, (1 << len(chunk)) - 1, start + size >= len(data))

    def send_beat(self, chunk: bytes, keep: int, last: bool) -> None:
        """Queue one beat, whether or not it keeps the rules."""
        filled = chunk + random.randbytes(self.data_bytes - len(chunk))
        value = int.from_bytes(filled, "little") | keep << self.keep_at | last << self.last_at
        self.queue.append((value, last))

    def flush(self) -> None:
        """Forget what is queued."""
        self.queue.clear()

    async def drain(self) -> None:
        """Wait until the last queued beat has gone."""
        edge = RisingEdge(self.dut.clk)
        while self.queue or self.dut.i__valid.value:
            await edge

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        sent: tuple[int, bool] | None = None
        while True:
            await edge
            self.cycle += 1
            if sent is not None and not self.dut.rst.value:
                self.beats += 1
                if not self.in_packet:
                    self.firsts.append(self.cycle)
                self.in_packet = not sent[1]
                if sent[1]:
                    self.lasts.append(self.cycle)
            if self.dut.rst.value:
                self.in_packet = False
            sent = None if not self.queue or self.pause() else self.queue.popleft()
            self.dut.i__valid.value = int(sent is not None)
            self.dut.i__payload.value = sent[0] if sent else random.getrandbits(self.layout.size)


class StrobeSink:
    """Note every value of an output and the cycle it came in.

    Attributes
    ----------
    received : list of tuple
        Cycle and value of each.
    """

    def __init__(self, dut: Any):
        self.dut = dut
        self.cycle = 0
        self.received: list[tuple[int, int]] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.cycle += 1
            if self.dut.o__valid.value:
                self.received.append((self.cycle, int(self.dut.o__payload.value)))
