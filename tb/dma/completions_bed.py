"""What the tests of hdl.dma.Completions share: drivers, the model, and readers of the store."""

import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.dma import TagEndedLayout
from hdl.dma.completion_parts import TagAskedLayout
from hdl.dma.parts import TagDoneLayout
from sim.dma import CompletionsModel, EndedRead, ReadEnd
from sim.pcie.tlp import Tlp

from ..pcie.tlp_port import TlpSource
from ..stream import StreamSource, chance, start
from .completion_makers import REQUESTER
from .fields import FieldReader, pack_fields

__all__ = ["SEGMENT_COUNT", "SLOT_BYTES", "TAG_COUNT", "CompletionsBed", "random_read"]

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
TAG_COUNT = int(os.environ["TAG_COUNT"])
SLOT_BYTES = int(os.environ["SLOT_BYTES"])

_ROW_BYTES = 32 * SEGMENT_COUNT
_SLOT_ROWS = SLOT_BYTES // _ROW_BYTES
_DONE_COUNT = max(1, SEGMENT_COUNT // 2)
#: Cycles from ``asked`` to the first completion at least, and from the last one to ``asked`` again.
_ASKED_BEFORE = 4
_QUIET = 16


class _Store:
    """Read rows, the last one of a read as soon as it is said to be there."""

    def __init__(self, dut: Any):
        self.read_en = dut.read_en
        self.read_row = dut.read_row
        self.read_data = dut.read_data
        self.read_en.value = 0
        self.rows: deque[tuple[EndedRead, int]] = deque()
        self._under_way: deque[tuple[EndedRead, int] | None] = deque([None, None])

    def add(self, ended: EndedRead) -> None:
        """Compare what lies in the store with ``ended``."""
        first = ended.address % SLOT_BYTES // _ROW_BYTES
        last = (ended.address + len(ended.data) - 1) % SLOT_BYTES // _ROW_BYTES
        # What came last is the most likely not to be there yet.
        self.rows.extendleft((ended, row) for row in range(first, last + 1))

    def step(self) -> None:
        """Compare the row of the last but one cycle, and ask for the next."""
        read = self._under_way.popleft()
        if read is not None:
            self._compare(*read, int(self.read_data.value).to_bytes(_ROW_BYTES, "little"))
        self._under_way.append(self.rows.popleft() if self.rows else None)
        read = self._under_way[-1]
        self.read_en.value = int(read is not None)
        if read is not None:
            self.read_row.value = read[0].tag * _SLOT_ROWS + read[1]

    def _compare(self, ended: EndedRead, row: int, found: bytes) -> None:
        begin = ended.address % SLOT_BYTES
        slot = range(row * _ROW_BYTES, (row + 1) * _ROW_BYTES)
        for place in range(max(begin, slot.start), min(begin + len(ended.data), slot.stop)):
            expected = ended.data[place - begin]
            assert found[place - slot.start] == expected, (
                f"tag {ended.tag}: byte {place} of its slot, row {row}, in {found.hex()}"
            )

    @property
    def idle(self) -> bool:
        """Whether everything has been compared."""
        return not self.rows and not any(self._under_way)


class CompletionsBed:
    """A source of completions, the model, and monitors of everything that comes out.

    Attributes
    ----------
    source : TlpSource
        Sends completions; the model sees each when its first segment is driven.
    expected : deque of EndedRead
        What must still be told on ``done``.
    told : list of EndedRead
        What was.
    follows_model : bool
        Compare ``done`` with the model.
    victims : dict of int to int
        Tags that the model does not follow, and how often ``done`` is expected of each.
    seen : list of (int, int)
        Tag and status of each ``done``.
    """

    def __init__(self, dut: Any, *, pause: float = 0.0, gap: float = 0.0):
        self.dut = dut
        self.model = CompletionsModel(TAG_COUNT, REQUESTER)
        self.source = TlpSource(
            dut, "i", SEGMENT_COUNT, pause=chance(pause), gap=chance(gap), on_sent=self._sent
        )
        self.fail = StreamSource(dut, "fail")
        self.store = _Store(dut)
        self.expected: deque[EndedRead] = deque()
        self.told: list[EndedRead] = []
        self.follows_model = True
        self.victims: dict[int, int] = {}
        self.seen: list[tuple[int, int]] = []
        self.unexpected = 0
        self.cycle = 0
        self.queued = 0
        self.touched = dict.fromkeys(range(TAG_COUNT), -_QUIET)
        self._ended = FieldReader(TagEndedLayout(TAG_COUNT))
        dut.asked.value = 0
        dut.requester.value = REQUESTER

    def send(self, tlp: Tlp) -> None:
        """Queue a completion."""
        self.queued += 1
        self.source.send(tlp)

    async def begin(self) -> None:
        """Start the clock and the monitors."""
        cocotb.start_soon(self._watch())
        await start(self.dut)

    def _sent(self, tlp: Tlp) -> None:
        self.queued -= 1
        self.touched[tlp.tag] = self.cycle
        ended = self.model.complete(tlp)
        if ended is not None:
            self.expected.append(ended)

    def fail_read(self, tag: int, end: ReadEnd) -> None:
        """Let a read of which no completion is near fail."""
        ended = self.model.fail(tag, end)
        if ended is not None:
            self.expected.append(ended)
        self.fail.send_value(self.failure(tag, end))

    @staticmethod
    def failure(tag: int, end: ReadEnd) -> int:
        """Word that a read has failed."""
        return pack_fields(TagDoneLayout(TAG_COUNT), tag=tag, status=end)

    async def ask(self, tag: int, address: int, length: int) -> None:
        """Issue a read, in one cycle; wait in the model until its completions may come."""
        self.model.ask(tag, address, length)
        self.dut.asked.value = pack_fields(
            TagAskedLayout(TAG_COUNT), valid=1, tag=tag, address=address % 4096, length=length
        )
        await RisingEdge(self.dut.clk)
        self.dut.asked.value = 0

    async def settle(self) -> None:
        """Wait until completions may follow what was asked for."""
        await ClockCycles(self.dut.clk, _ASKED_BEFORE)

    def is_free(self, tag: int) -> bool:
        """Whether nothing is known of a tag in model or hardware."""
        return (
            tag not in self.model.out
            and self.cycle - self.touched[tag] >= _QUIET
            and all(ended.tag != tag for ended in self.expected)
            and all(ended.tag != tag for ended, _ in self.store.rows)
        )

    async def drain(self) -> None:
        """Wait until all that was sent has been worked on; nothing is missing or too much."""
        while not (self.source.idle and self.fail.idle):
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 12)
        while not self.store.idle:
            await RisingEdge(self.dut.clk)
        assert not self.expected, f"not told: {self.expected}"
        assert self.unexpected == self.model.unexpected
        out = {tag for tag in range(TAG_COUNT) if int(self.dut.out.value) >> tag & 1}
        assert out == self.model.out

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        dones = [self.dut[f"done__{n}"] for n in range(_DONE_COUNT)]
        while True:
            await edge
            self.cycle += 1
            if self.dut.rst.value:
                continue
            self.unexpected += int(self.dut.unexpected.value)
            told = [self._ended.read(int(done.value)) for done in dones]
            parities = [one.tag % 2 for one in told if one.valid]
            assert len(set(parities)) == len(parities), "two of one half of the tags in a cycle"
            for one in told:
                if one.valid:
                    self.seen.append((one.tag, one.status))
                if one.valid and one.tag in self.victims:
                    self.victims[one.tag] -= 1
                    assert self.victims[one.tag] >= 0, f"told too often: {one}"
                elif one.valid and self.follows_model:
                    assert self.expected, f"told too much: {one}"
                    ended = self.expected.popleft()
                    assert (one.tag, one.status) == (ended.tag, ended.end), f"{one}, not {ended}"
                    assert not int(self.dut.out.value) >> one.tag & 1, f"{one} is still out"
                    self.told.append(ended)
                    if ended.data:
                        self.store.add(ended)
            self.store.step()


def random_read() -> tuple[int, int]:
    """Address and length of a read within a slot's block; short and long ones, and flushes."""
    offset = random.choice([0, 4, random.randrange(SLOT_BYTES)])
    most = SLOT_BYTES - offset
    length = random.choice([0, 1, most, random.randint(0, min(9, most)), random.randint(0, most)])
    return random.getrandbits(20) * SLOT_BYTES + offset, length
