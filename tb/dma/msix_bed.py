"""Everything around hdl.dma.Msix: software, whoever raises events, a memory; and the model."""

import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hdl.dma import MemoryRequestLayout, MemoryResponseLayout
from hdl.dma.msix_parts import msix_table
from hdl.stream import PacketLayout
from sim.dma import MsixEntry, MsixModel

from ..stream import start
from ..stream.stream_port import never
from .fields import FieldReader, pack_fields

__all__ = [
    "LONGEST",
    "ROUND",
    "SOME",
    "TICK_CYCLES",
    "VECTORS",
    "Message",
    "MsixBed",
    "begin",
    "entry_of",
]


VECTORS = int(os.environ["VECTOR_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
INTERVAL_BITS = int(os.environ["INTERVAL_BITS"])
TICK_CYCLES = int(os.environ["TICK_CYCLES"])
LONGEST = (1 << INTERVAL_BITS) - 1
#: Some vectors of each part of the table.
SOME = sorted({0, 1, VECTORS // 2, VECTORS - 1} & set(range(VECTORS)))
#: A vector that is due waits for a round of rows and of the others that are due.
ROUND = 2 * max(2, -(-VECTORS // 32)) + 24


_REQUEST = FieldReader(MemoryRequestLayout())
_GATES = {"enable": 1, "function_mask": 0, "bus_master": 1, "link_up": 1}
Message = tuple[int, int, int]


def entry_of(vector: int, version: int = 0) -> MsixEntry:
    """Make an entry whose address and data both tell vector and version."""
    return MsixEntry(
        lower=0xFEE00000 | vector << 4 | (version & 3) << 2,
        upper=0xABC00000 | vector << 8 | version & 0xFF,
        data=version << 12 | vector,
        masked=False,
    )


class MsixBed:
    """Drive all ports; compare each message, and how late it is, with the model.

    Attributes
    ----------
    messages : list of Message
        Vector, data, and the cycle in which it began.
    bound : int or None
        In how many cycles a message that is due must begin; None where outputs are paused.
    pause : callable
        Of the memory; both streams.
    """

    def __init__(self, dut, vector_count: int, data_bytes: int, interval_bits: int, ticks: int):
        self.dut = dut
        self.vector_count = vector_count
        self.layout = FieldReader(PacketLayout(data_bytes))
        self.sizes = {
            "vector_count": vector_count,
            "interval_bits": interval_bits,
            "tick_cycles": ticks,
        }
        self.model = MsixModel(**self.sizes)
        self.addresses = {
            place.entry.name: place.address for place in msix_table(vector_count).places()
        }
        self.master: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
        self.master.write_if.log.setLevel("ERROR")
        self.master.read_if.log.setLevel("ERROR")
        self.cycle = 0
        self.queue: deque[int] = deque()
        self.event_pause: Callable[[], bool] = never
        self.pause: Callable[[], bool] = never
        self.fail: Callable[[], bool] = never
        self.messages: list[Message] = []
        self.writes: deque[tuple[int, int]] = deque()
        self.written: list[tuple[int, int]] = []
        self.failed = 0
        self.bound: int | None = None
        self.not_ready = 0
        self.gates = dict(_GATES, enable=0)
        for name, value in self.gates.items():
            dut[name].value = value
        dut.events__valid.value = 0
        dut.o__request__ready.value = 0
        dut.o__data__ready.value = 0
        dut.o__response__valid.value = 0
        cocotb.start_soon(self._run())

    async def begin(self) -> None:
        """Reset, and wait until events are taken."""
        await start(self.dut)
        await self._ready()

    async def reset(self) -> None:
        """Reset in the middle of anything; the model begins anew."""
        self.queue.clear()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.writes.clear()
        self.failed = 0
        self.model = MsixModel(**self.sizes)
        self.model.gate(self.cycle, **self._flags())
        self.dut.rst.value = 0
        await self._ready()

    async def _ready(self) -> None:
        edge = RisingEdge(self.dut.clk)
        for _ in range(self.vector_count + 70):
            await edge
            if self.dut.events__ready.value:
                return
        raise AssertionError("events are not taken in time after reset")

    # Software.

    def address(self, name: str, number: int = 0, each: int = 16) -> int:
        """Address of element ``number`` of a window or counter."""
        return self.addresses[name] + each * number

    async def write_entry(self, vector: int, numbers: Iterable[int], words: Iterable[int]) -> None:
        """Write adjacent words of an entry, which may be one access of 8 bytes."""
        numbers, words = list(numbers), list(words)
        for number, word in zip(numbers, words, strict=True):
            self.model.write(vector, number, word)
        data = b"".join(word.to_bytes(4, "little") for word in words)
        answer = await self.master.write(self.address("table", vector) + 4 * numbers[0], data)
        assert answer.resp == 0
        self.model.settle(self.cycle)

    async def program(self, vector: int, entry: MsixEntry) -> None:
        """Write an entry as drivers do: masked, then unmasked if it shall be."""
        words = entry.words()
        await self.write_entry(vector, (3,), (1,))
        for number in (0, 1, 2):
            await self.write_entry(vector, (number,), (words[number],))
        if not entry.masked:
            await self.write_entry(vector, (3,), (0,))

    async def mask(self, vector: int, masked: bool) -> None:
        """Write a vector's mask bit."""
        await self.write_entry(vector, (3,), (int(masked),))

    async def moderate(self, vector: int, interval: int, limit: int) -> None:
        """Set a vector's moderation; it reads back what the model keeps."""
        word = limit << 16 | interval
        await self.write("moderation", vector, 4, word)
        self.model.moderate(vector, word)

    async def write(self, name: str, number: int, each: int, word: int) -> None:
        """Write a word of a window."""
        data = word.to_bytes(4, "little")
        answer = await self.master.write(self.address(name, number, each), data)
        assert answer.resp == 0

    async def read(self, name: str, number: int = 0, each: int = 4, size: int = 4) -> int:
        """Read a word of a window, or a counter."""
        answer = await self.master.read(self.address(name, number, each), size)
        assert answer.resp == 0
        return int.from_bytes(answer.data, "little")

    async def read_pending(self) -> int:
        """Pending bits of all vectors."""
        words = [await self.read("pending", n) for n in range(-(-self.vector_count // 32))]
        return sum(word << 32 * n for n, word in enumerate(words))

    def _flags(self) -> dict[str, bool]:
        return {name: bool(value) for name, value in self.gates.items()}

    def set(self, **gates: int) -> None:
        """Drive ``enable``, ``function_mask``, ``bus_master`` or ``link_up``."""
        for name, value in gates.items():
            self.gates[name] = value
            self.dut[name].value = value
        self.model.gate(self.cycle, **self._flags())

    def send(self, *vectors: int) -> None:
        """Raise events."""
        self.queue.extend(vectors)

    async def idle(self, cycles: int = 200) -> None:
        """Wait until nothing has to be sent any more and responses are back; then a while."""
        edge = RisingEdge(self.dut.clk)
        for _ in range(200_000):
            await edge
            if (
                not self.queue
                and not self.writes
                and not any(
                    self.model.due_since(vector) is not None for vector in self.model.waiting
                )
            ):
                break
        else:
            raise AssertionError("what is due is not sent")
        await ClockCycles(self.dut.clk, cycles)

    async def finish(self) -> None:
        """Let everything out, and see that nothing is left and the counters are right."""
        self.set(**_GATES)
        self.pause = self.fail = never
        for vector, one in enumerate(self.model.vectors):
            if one.entry.masked and one.events:
                await self.program(vector, entry_of(vector, 0x77))
        await self.idle(300 + 2 * self.vector_count)
        assert not self.model.waiting, f"events of {sorted(self.model.waiting)} were lost"
        assert await self.read_pending() == 0
        assert await self.read("messages", size=8) == self.model.messages
        assert await self.read("unknown", size=8) == self.model.unknown
        assert await self.read("failed", size=8) == self.failed

    # Ports, once a cycle.

    async def _run(self) -> None:
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        events = (dut.events__valid, dut.events__ready, dut.events__payload)
        offered: int | None = None
        response = False
        begun: list[Any] = [None, None]
        held: list[Any] = [None, None]
        names = ("request", "data")
        ports = [
            (dut[f"o__{n}__valid"], dut[f"o__{n}__ready"], dut[f"o__{n}__payload"]) for n in names
        ]
        taken: list[deque[Any]] = [deque(), deque()]
        while True:
            await edge
            self.cycle += 1
            if dut.rst.value:
                offered, response, held = None, False, [None, None]
                taken[0].clear()
                taken[1].clear()
                events[0].value = 0
                dut.o__response__valid.value = 0
                continue
            if offered is not None and events[1].value:
                self.model.event(offered, self.cycle)
                offered = None
            elif offered is not None:
                self.not_ready += 1
            for n, (valid, ready, payload) in enumerate(ports):
                value = int(payload.value) if valid.value else None
                assert held[n] is None or held[n] == value, "an offer changed"
                begun[n] = value if held[n] is None else None
                accepted = ready.value and value is not None
                held[n] = None if accepted else value
                if accepted:
                    taken[n].append(value)
                ready.value = int(not self.pause())
            self._check_begin(*begun)
            self._take(taken)
            if response:
                assert dut.o__response__ready.value
            response = bool(self.writes) and random.random() < 0.7
            dut.o__response__valid.value = int(response)
            if response:
                self.written.append(self.writes.popleft())
                failed = self.fail()
                self.failed += failed
                dut.o__response__payload.value = pack_fields(
                    MemoryResponseLayout(), tag=0, status=5 if failed else 0
                )
            if offered is None and self.queue and not self.event_pause():
                offered = self.queue.popleft()
                events[2].value = offered
            events[0].value = int(offered is not None)
            if self.bound is not None and self.cycle % 8 == 0:
                for vector in self.model.waiting:
                    since = self.model.due_since(vector)
                    assert since is None or self.cycle - since <= self.bound, (
                        f"vector {vector} waits since {since}, now it is {self.cycle}"
                    )

    def _check_begin(self, request: int | None, beat: int | None) -> None:
        if request is None and beat is None:
            return
        assert request is not None and beat is not None, "request and data do not begin together"
        fields, packet = _REQUEST.read(request), self.layout.read(beat)
        assert (fields.length, packet.keep, packet.last, packet.error) == (4, 15, 1, 0)
        assert (fields.space, fields.no_snoop, fields.relaxed_ordering) == (0, 0, 0)
        data = packet.data
        assert data < 1 << 32
        vector = data & 0xFFF
        self.model.message(vector, fields.address, data, self.cycle)
        self.messages.append((vector, data, self.cycle))

    def _take(self, taken: list[deque[Any]]) -> None:
        while all(taken):
            request, beat = _REQUEST.read(taken[0].popleft()), self.layout.read(taken[1].popleft())
            self.writes.append((request.address, beat.data))


async def begin(dut, *vectors: int, open_: bool = True) -> MsixBed:
    """Start, and unmask ``vectors``."""
    bed = MsixBed(dut, VECTORS, DATA_BYTES, INTERVAL_BITS, TICK_CYCLES)
    await bed.begin()
    for vector in vectors:
        await bed.program(vector, entry_of(vector))
    if open_:
        bed.set(enable=1)
    return bed
