"""cocotb testbench of hdl.dma.MemoryCopy between two memories that fail at random."""

import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hdl.dma import CopyLayout, MemoryRequestLayout, MemoryResponseLayout
from sim.dma import copy_status
from sim.stream import Packet

from ..stream import PacketSink, PacketSource, StreamSink, StreamSource, chance, start
from .fields import FieldReader, pack_fields

DATA_BYTES = int(os.environ["DATA_BYTES"])
DEPTH = int(os.environ["DEPTH"])
OK, ABORT, TIMEOUT, CANCELLED = 0, 2, 4, 7
BYTES = 1 << 16
_COPY, _RESPONSE = CopyLayout(), MemoryResponseLayout()
_PLACE: Any = _COPY["source"].shape
_REQUEST_FIELDS = FieldReader(MemoryRequestLayout())
_RESPONSE_FIELDS = FieldReader(_RESPONSE)


class Bed:
    """Memories at both sides of the copier."""

    def __init__(self, dut: Any, *, stall: float = 0.0, failures: float = 0.0):
        pause = chance(stall)
        self.dut = dut
        self.failures = failures
        self.memories = bytearray(random.randbytes(BYTES)), bytearray(BYTES)
        self.descriptors = StreamSource(dut, "i", pause=pause)
        self.ended = StreamSink(dut, "o", pause=pause)
        self.reads = StreamSink(dut, "read__request", pause=pause)
        self.read_data = PacketSource(dut, "read__data", DATA_BYTES, pause=pause)
        self.read_responses = StreamSource(dut, "read__response", pause=pause)
        self.writes = StreamSink(dut, "write__request", pause=pause)
        self.write_data = PacketSink(dut, "write__data", DATA_BYTES, pause=pause)
        self.write_responses = StreamSource(dut, "write__response", pause=pause)
        self.statuses: deque[tuple[int, int]] = deque()  # tag and status of each read
        self.expected: deque[tuple[int, int]] = deque()
        cocotb.start_soon(self._serve_reads())
        cocotb.start_soon(self._serve_writes())

    def copy(self, source: int, target: int, length: int, tag: int) -> None:
        """Queue a descriptor."""
        places = {
            name: pack_fields(_PLACE, space=space, address=address)
            for name, space, address in (("source", 1, source), ("target", 2, target))
        }
        self.descriptors.send_value(
            pack_fields(_COPY, length=length, tag=tag, relaxed_ordering=1, **places)
        )

    async def _serve_reads(self) -> None:
        while True:
            request = _REQUEST_FIELDS.read(await self.reads.received.get())
            assert (request.space, request.relaxed_ordering, request.no_snoop) == (1, 1, 0)
            status = ABORT if random.random() < self.failures else OK
            first = request.address
            if request.length:
                data = bytes(self.memories[0][first : first + request.length])
                self.read_data.send(Packet(data, status != OK))
                while not self.read_data.idle:
                    await ClockCycles(self.dut.clk, 1)
            self.statuses.append((request.tag, status))
            self.read_responses.send_value(pack_fields(_RESPONSE, tag=request.tag, status=status))

    async def _serve_writes(self) -> None:
        while True:
            request = _REQUEST_FIELDS.read(await self.writes.received.get())
            assert (request.space, request.relaxed_ordering, request.no_snoop) == (2, 1, 0)
            packet = await self.write_data.received.get() if request.length else Packet(b"")
            assert len(packet.data) == request.length
            status = TIMEOUT if random.random() < self.failures else OK
            if packet.error:
                status = CANCELLED
            elif status == OK:
                first = request.address
                self.memories[1][first : first + request.length] = packet.data
            while not self.statuses:
                await ClockCycles(self.dut.clk, 1)
            tag, of_read = self.statuses.popleft()
            assert tag == request.tag
            self.expected.append((tag, copy_status(of_read, status)))
            self.write_responses.send_value(pack_fields(_RESPONSE, tag=tag, status=status))

    async def end(self) -> tuple[int, int]:
        """Tag and status of the next copy, as the model has them."""
        ended = _RESPONSE_FIELDS.read(await self.ended.received.get())
        assert (ended.tag, ended.status) == self.expected.popleft()
        return ended.tag, ended.status


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5], failures=[0.0, 0.3])
async def copies(dut, stall, failures):
    """Copy anything anywhere: in order, each once, with the first failure's status."""
    bed = Bed(dut, stall=stall, failures=failures)
    await start(dut)
    wanted = bytearray(BYTES)
    cases = []
    for number in range(120):
        length = random.choice([0, 1, DATA_BYTES, random.randrange(8 * DATA_BYTES)])
        source, target = (random.randrange(BYTES - length) for _ in range(2))
        cases.append((source, target, length))
        bed.copy(source, target, length, number % 256)
    seen = set()
    for number, (source, target, length) in enumerate(cases):
        tag, status = await bed.end()
        assert tag == number % 256
        seen.add(status)
        if status == OK:
            wanted[target : target + length] = bed.memories[0][source : source + length]
    assert bed.memories[1] == wanted
    assert seen == ({OK, ABORT, TIMEOUT} if failures else {OK})


@cocotb.test(timeout_time=100, timeout_unit="us")
async def a_descriptor_a_cycle(dut):
    """Take a descriptor of a beat, and its bytes, in each cycle."""
    bed = Bed(dut)
    await start(dut)
    count = 4 * DEPTH
    for number in range(count):
        bed.copy(0, 0, 0, number % 256)
    for _ in range(count):
        await bed.end()
    assert bed.descriptors.span <= count + 1, f"{bed.descriptors.span} cycles for {count}"
    assert bed.ended.span == count


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reads_run_ahead(dut):
    """Take so many responses of reads before the first of a write, and stop then."""
    bed = Bed(dut)
    bed.write_responses.pause = lambda: True
    await start(dut)
    for number in range(2 * DEPTH):
        bed.copy(0, 0, 0, number)
    await ClockCycles(dut.clk, 4 * DEPTH)
    assert DEPTH <= bed.read_responses.accepted < 2 * DEPTH
    bed.write_responses.pause = lambda: False
    for _ in range(2 * DEPTH):
        await bed.end()
