"""Drive and observe streams of any payload from cocotb."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

__all__ = ["StreamPort", "StreamSink", "StreamSource", "chance", "never", "reset", "start"]


def never() -> bool:
    """Pause policy: never pause."""
    return False


def chance(probability: float) -> Callable[[], bool]:
    """Pause policy: pause a cycle with the given probability, from the run's seed."""
    return (lambda: random.random() < probability) if probability else never


async def start(dut: Any) -> None:
    """Start the clock (2 ns) and hold reset for two cycles; drivers are made before."""
    dut.rst.value = 1
    Clock(dut.clk, 2, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0


class StreamPort:
    """Signals of one stream, found by the name Amaranth gives its members.

    Attributes
    ----------
    cycle : int
        Clock edges seen.
    accepted : int
        Transfers seen.
    first, last : int
        Cycles of the first and the last transfer since :meth:`restart`.
    """

    def __init__(self, dut: Any, name: str, *, clk: LogicObject | None = None):
        self.clk: LogicObject = dut.clk if clk is None else clk
        self.payload: LogicArrayObject = dut[f"{name}__payload"]
        self.valid: LogicObject = dut[f"{name}__valid"]
        self.ready: LogicObject = dut[f"{name}__ready"]
        self.cycle = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new measurement of ``accepted``, ``first`` and ``last``."""
        self.accepted = 0
        self.first = self.last = -1

    @property
    def span(self) -> int:
        """Cycles from the first to the last transfer, both included."""
        return self.last - self.first + 1 if self.accepted else 0

    def _count(self) -> None:
        if not self.accepted:
            self.first = self.cycle
        self.last = self.cycle
        self.accepted += 1


class StreamSource(StreamPort):
    """Send queued payloads; between them, stay idle while ``pause()`` is true."""

    def __init__(
        self,
        dut: Any,
        name: str,
        *,
        pause: Callable[[], bool] = never,
        clk: LogicObject | None = None,
    ):
        super().__init__(dut, name, clk=clk)
        self.pause = pause
        self.values: deque[int] = deque()
        self.offered = False
        self.valid.value = 0
        cocotb.start_soon(self._run())

    def send_value(self, value: int) -> None:
        """Queue ``value``; it leaves as soon as the stream accepts it."""
        self.values.append(value)

    @property
    def idle(self) -> bool:
        """Whether all that was queued has been accepted."""
        return not self.values and not self.offered

    def flush(self) -> None:
        """Forget what is queued or offered; only under reset, since it takes back an offer."""
        self.values.clear()
        self.offered = False
        self.valid.value = 0

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        while True:
            await edge
            self.cycle += 1
            if self.offered:
                if not self.ready.value:
                    continue
                self._count()
            offered = bool(self.values) and not self.pause()
            if offered != self.offered:  # writing a signal is what costs time
                self.offered = offered
                self.valid.value = int(offered)
            if offered:
                self.payload.value = self.values.popleft()


class StreamSink(StreamPort):
    """Receive payloads and check the stream rules; refuse them while ``pause()`` is true.

    Override :meth:`accept` to make something of a payload; by default it is put in ``received``.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        *,
        pause: Callable[[], bool] = never,
        clk: LogicObject | None = None,
    ):
        super().__init__(dut, name, clk=clk)
        self.pause = pause
        self.received: Queue[Any] = Queue()
        self.refused: int | None = None
        self.ready.value = 0
        cocotb.start_soon(self._run())

    def accept(self, value: int) -> None:
        """Take one payload."""
        self.received.put_nowait(value)

    def flush(self) -> None:
        """Forget a refused offer; only under reset, which may take it back."""
        self.refused = None

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        while True:
            await edge
            self.cycle += 1
            offered = int(self.payload.value) if self.valid.value else None
            accepted = bool(self.ready.value)
            assert self.refused is None or offered == self.refused, (
                "payload changed or was taken back before it was accepted"
            )
            self.refused = None if accepted else offered
            ready = not self.pause()
            if ready != accepted:
                self.ready.value = int(ready)
            if offered is not None and accepted:
                self._count()
                self.accept(offered)


async def reset(dut: Any, *ports: StreamSource | StreamSink) -> None:
    """Reset the device in mid-traffic; ``ports`` forget all that they sent and received."""
    dut.rst.value = 1
    for _ in range(3):
        for port in ports:
            port.flush()
            if isinstance(port, StreamSink):
                while not port.received.empty():
                    port.received.get_nowait()
        await FallingEdge(dut.clk)  # when no driver is at work
    dut.rst.value = 0
