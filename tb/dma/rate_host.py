"""Host memory behind a link with a rate and a way, for the engine's benches."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.pcie.tlp import Kind, Tlp

from ..pcie.switch_port import Credits, SwitchPort

__all__ = ["MEMORY", "RateHost"]

#: What host memory holds, again and again.
MEMORY = random.Random(1).randbytes(1 << 16)
_TWICE = MEMORY + MEMORY
#: As much as scaled flow control (x4) can say.
_LIMITS = (Credits(508, 8188), Credits(508, 8188), Credits(508, 8188))
_SCALE = 1


class _Delayed:
    """A signal as it was some cycles ago."""

    def __init__(self, signal: Any, cycles: int):
        self.signal = signal
        self.past: deque[int] = deque([0], cycles + 1)

    def step(self) -> None:
        """See what it is now."""
        self.past.append(int(self.signal.value))

    @property
    def value(self) -> int:
        return self.past[0]


class RateHost:
    """Answer the engine's reads, so many cycles later, with completions that are split.

    Parameters
    ----------
    dut : handle
        Top level.
    segment_count : int
        Segments of a beat.
    way : int
        Cycles that everything takes in each direction: TLPs and credits.
    bytes_per_cycle : float
        Rate of the link to the engine, of TLPs with header and framing; 0 is no limit but a beat
        a cycle.
    limits : sequence of Credits
        What the engine gets, in multiples of 4.

    Attributes
    ----------
    split, payload : int
        Completions end at multiples of ``split`` bytes, and have ``payload`` at most.
    """

    #: Header of 3 DW, token with sequence number, LCRC (128b/130b encoding, 4.2.2.3).
    OVERHEAD = 12 + 4 + 4

    def __init__(
        self,
        dut: Any,
        segment_count: int,
        *,
        way: int = 0,
        bytes_per_cycle: float = 0.0,
        limits: Sequence[Credits] = _LIMITS,
    ):
        self.way = way
        self.split = self.payload = 256
        self.bytes_per_cycle = bytes_per_cycle
        self.is_busy_until = 0.0
        self.due: deque[tuple[int, Tlp]] = deque()
        self.port = SwitchPort(
            dut,
            "port",
            segment_count,
            limits=limits,
            scale=_SCALE,
            return_delay=lambda: 2 * way,
            source_pause=self._pause,
            on_sent=self._sent,
            on_received=self._received,
        )
        credits = _Delayed(dut.port__rx_credits, 2 * way)
        self.port.source._rx_credits = credits  # pyright: ignore[reportAttributeAccessIssue]
        cocotb.start_soon(self._run(credits))

    @property
    def cycle(self) -> int:
        """Cycles since reset, about."""
        return self.port.source.cycle

    def _pause(self) -> bool:
        # Within a TLP there is no pause.
        if not self.bytes_per_cycle or self.port.source._open:
            return False
        return self.is_busy_until > self.cycle + 1

    def _sent(self, tlp: Tlp) -> None:
        if self.bytes_per_cycle:
            size = self.OVERHEAD + len(tlp.data or b"")
            begin = max(self.is_busy_until, float(self.cycle))
            self.is_busy_until = begin + size / self.bytes_per_cycle

    def _received(self, tlp: Tlp) -> None:
        if tlp.kind == Kind.MEMORY and tlp.data is None:
            self.due.append((self.cycle + 2 * self.way, tlp))

    async def _run(self, credits: _Delayed) -> None:
        edge = RisingEdge(self.port.source.clk)
        while True:
            await edge
            credits.step()
            while self.due and self.due[0][0] <= self.cycle:
                self._answer(self.due.popleft()[1])

    def _answer(self, read: Tlp) -> None:
        place = read.address
        end = place + 4 * read.length
        skipped = (read.first_be & -read.first_be).bit_length() - 1
        last_be = read.last_be or read.first_be
        last = end - 4 + last_be.bit_length()
        first = place + skipped
        while place < end:
            stop = min(end, (place // self.split + 1) * self.split, place + self.payload)
            at = place % len(MEMORY)
            data = _TWICE[at : at + stop - place]
            begin = max(first, place)
            self.port.send(
                Tlp(
                    Kind.COMPLETION,
                    data=data,
                    length=len(data) // 4,
                    tag=read.tag,
                    requester=read.requester,
                    byte_count=(last - begin) & 0xFFF,
                    lower_address=begin & 0x7F,
                )
            )
            place = stop
