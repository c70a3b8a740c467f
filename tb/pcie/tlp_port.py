"""Drive and observe beats of TLPs from cocotb, as strobes or as streams."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge

from sim.pcie.tlp import Tlp

from ..stream.stream_port import never
from .segments import SEGMENT_WIDTH, BeatReader, to_segments

__all__ = ["TlpSink", "TlpSource"]


class _TlpPort:
    """Signals of a member of ``TlpBeatLayout``, or of a stream of it; which one is found out.

    Attributes
    ----------
    cycle : int
        Clock edges seen.
    beats, segments : int
        Transfers, and valid lanes in them, since :meth:`restart`.
    first, last : int
        Cycles of the first and the last transfer since :meth:`restart`.
    """

    def __init__(self, dut: Any, name: str, segment_count: int):
        self.clk: LogicObject = dut.clk
        self.rst: LogicObject = dut.rst
        self.segment_count = segment_count
        self.is_stream = hasattr(dut, f"{name}__payload")
        self.beat: LogicArrayObject = dut[f"{name}__payload" if self.is_stream else name]
        if self.is_stream:
            self.valid: LogicObject = dut[f"{name}__valid"]
            self.ready: LogicObject = dut[f"{name}__ready"]
        self.cycle = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new measurement."""
        self.beats = self.segments = 0
        self.first = self.last = -1

    @property
    def span(self) -> int:
        """Cycles from the first to the last transfer, both included."""
        return self.last - self.first + 1 if self.beats else 0

    def _count(self, segments: int) -> None:
        if not self.beats:
            self.first = self.cycle
        self.last = self.cycle
        self.beats += 1
        self.segments += segments

    def step(self) -> None:
        """Do the work of one clock edge."""
        raise NotImplementedError

    async def run(self) -> None:
        """Work forever."""
        edge = RisingEdge(self.clk)
        while True:
            await edge
            self.step()


class TlpSource(_TlpPort):
    """Send queued TLPs, lane behind lane.

    Parameters
    ----------
    dut : handle
        Top level.
    name : str
        Member of ``TlpBeatLayout``, or of a stream of it.
    segment_count : int
        Segments of a beat.
    pause : callable
        Asked before each beat: true for a cycle without one.
    gap : callable
        Asked in each lane between TLPs: true leaves it idle.
    aligned : bool
        TLPs begin in lane 0 only.
    continuous : bool
        ``pause`` is asked between TLPs only: within one, there is a beat in every cycle.
    on_sent : callable, optional
        Given each TLP as its first segment is driven.
    running : bool
        Start now; otherwise someone calls :meth:`step` at each clock edge.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        segment_count: int,
        *,
        pause: Callable[[], bool] = never,
        gap: Callable[[], bool] = never,
        aligned: bool = False,
        continuous: bool = False,
        on_sent: Callable[[Tlp], None] | None = None,
        running: bool = True,
    ):
        super().__init__(dut, name, segment_count)
        self.pause = pause
        self.gap = gap
        self.aligned = aligned
        self.continuous = continuous
        self.on_sent = on_sent
        self._waiting: deque[tuple[Tlp | None, Sequence[int | None]]] = deque()
        self._open: deque[int | None] = deque()
        self._offered = False
        self.beat.value = 0
        if self.is_stream:
            self.valid.value = 0
        if running:
            cocotb.start_soon(self.run())

    def send(self, tlp: Tlp) -> None:
        """Queue ``tlp``."""
        self._waiting.append((tlp, to_segments(tlp)))

    def send_lanes(self, lanes: Sequence[int | None]) -> None:
        """Queue lanes as they are, well-formed or not; None is an idle lane."""
        self._waiting.append((None, lanes))

    @property
    def idle(self) -> bool:
        """Whether all that was queued has been driven and, on a stream, accepted."""
        return not (self.has_work or self._offered)

    @property
    def has_work(self) -> bool:
        """Whether there is a TLP to begin or to go on with."""
        return bool(self._open or self._waiting)

    @property
    def is_driving(self) -> bool:
        """Whether a TLP has begun that has not been taken whole."""
        return bool(self._open or self._offered)

    def flush(self) -> None:
        """Forget what is queued, begun or offered."""
        self._waiting.clear()
        self.cut()

    def cut(self) -> None:
        """Forget the TLP that has begun and the beat that is offered: the link went down."""
        self._open.clear()
        self._offered = False
        self.beat.value = 0
        if self.is_stream:
            self.valid.value = 0

    def take(self) -> tuple[Tlp | None, Sequence[int | None]] | None:
        """Next TLP to begin and its lanes, taken from what is queued, or None."""
        return self._waiting.popleft() if self._waiting else None

    def _next_beat(self) -> tuple[int, int]:
        """Beat, and how many lanes of it are valid."""
        if not (self.continuous and self._open) and self.pause():
            return 0, 0
        valid = count = lanes = 0
        for lane in range(self.segment_count):
            if not self._open:
                if (self.aligned and lane) or self.gap():
                    continue
                taken = self.take()
                if taken is None:
                    break
                if taken[0] is not None and self.on_sent is not None:
                    self.on_sent(taken[0])
                self._open.extend(taken[1])
            segment = self._open.popleft()
            if segment is not None:
                valid |= 1 << lane
                count += 1
                lanes |= segment << lane * SEGMENT_WIDTH
        return lanes << self.segment_count | valid, count

    def step(self) -> None:
        """Offer the next beat unless the last one still waits."""
        self.cycle += 1
        was_driven = self._offered
        if was_driven and self.is_stream and not self.ready.value:
            return
        self._offered = False
        value, count = self._next_beat() if self.has_work else (0, 0)
        if count:
            self._count(count)
            self._offered = True
            self.beat.value = value
            if self.is_stream:
                self.valid.value = 1
        elif was_driven:
            # A strobe ends with its cycle; a payload that is not valid may be anything.
            self.beat.value = 0
            if self.is_stream:
                self.valid.value = 0


class TlpSink(_TlpPort):
    """Receive TLPs, and check the rules of beats and, on a stream, of streams.

    Override :meth:`accept` to make something of a TLP; by default it is put in ``received``.

    Parameters
    ----------
    dut, name, segment_count
        As of :class:`TlpSource`.
    pause : callable
        Asked in each cycle: true refuses the next beat. Only for streams.
    continuous : bool
        Within a TLP, valid must not fall.
    running : bool
        Start now; otherwise someone calls :meth:`step` at each clock edge.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        segment_count: int,
        *,
        pause: Callable[[], bool] = never,
        continuous: bool = False,
        running: bool = True,
    ):
        super().__init__(dut, name, segment_count)
        self.pause = pause
        self.continuous = continuous
        self.received: Queue[Tlp] = Queue()
        self.reader = BeatReader(segment_count)
        self._refused: int | None = None
        self._was_ready = False
        if self.is_stream:
            self.ready.value = 0
        if running:
            cocotb.start_soon(self.run())

    def accept(self, tlp: Tlp) -> None:
        """Take one TLP."""
        self.received.put_nowait(tlp)

    def flush(self) -> None:
        """Forget a TLP that has begun and a refused offer."""
        self.reader.flush()
        self._refused = None

    def open(self) -> None:
        """Accept the next beat, whatever ``pause`` says."""
        if self.is_stream:
            self._was_ready = True
            self.ready.value = 1

    def _take(self, value: int) -> None:
        before = self.reader.segments
        ended = self.reader.read(value)
        if self.reader.segments > before:
            self._count(self.reader.segments - before)
            for _, tlp in ended:
                self.accept(tlp)

    async def run(self) -> None:
        """Work forever; under reset, forget a TLP that has begun and look at nothing."""
        edge = RisingEdge(self.clk)
        while True:
            await edge
            if self.rst.value:
                self.cycle += 1
                self.flush()
            else:
                self.step()

    def step(self) -> None:
        """Look at this cycle's beat."""
        self.cycle += 1
        if not self.is_stream:
            value = int(self.beat.value)
            assert value or not (self.continuous and self.reader.is_open), "a pause within a TLP"
            if value:
                self._take(value)
            return
        offered = int(self.beat.value) if self.valid.value else None
        assert self._refused is None or offered == self._refused, (
            "beat changed or was taken back before it was accepted"
        )
        assert offered is not None or not (self.continuous and self.reader.is_open), (
            "valid fell within a TLP"
        )
        was_ready = self._was_ready
        self._refused = None if was_ready else offered
        ready = not self.pause()
        if ready != was_ready:
            self._was_ready = ready
            self.ready.value = int(ready)
        if offered is not None and was_ready:
            assert offered & (1 << self.segment_count) - 1, "a beat without a segment"
            self._take(offered)
