"""cocotb testbench of copies between cocotbext-pcie's host and cocotbext-axi's memory.

``CASES`` of them: completions come in any order, and end at every 64 bytes.
"""

import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import Combine, Timer
from cocotbext.axi import AxiBus, AxiRam

from hdl.dma import CopyLayout, MemoryResponseLayout

from ..pcie.endpoint import make_root, make_root_port
from ..pcie.link import RtlLink
from ..stream import StreamSink, StreamSource, start
from .copy_cases import SIZES, CopyCase, by_sizes, few_cases, many_cases
from .fields import FieldReader, pack_fields
from .host import CardFunction, shuffle_completions

DATA_BYTES = int(os.environ["DATA_BYTES"])
COUNT = int(os.environ["CASES"])
MANY = 50_000
GUARD = 64
#: Steps of 100 ns that a write may take from the engine to the host's memory.
PATIENCE = 200
#: A place for each copy under way: pages for 8192 bytes and what is around.
PLACE_BYTES = 4 * 4096
PLACES = 48
CARD_BYTES = PLACES * PLACE_BYTES
OK = 0
_COPY = CopyLayout()
_WHERE: Any = _COPY["source"].shape
_RESPONSE = FieldReader(MemoryResponseLayout())


class Bed:
    """Host, card memory, and copiers between."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.root: Any = make_root()
        self.root.split_on_all_rcb = True
        shuffle_completions(self.root)
        self.link = RtlLink(dut, "port", max(1, DATA_BYTES // 32))
        make_root_port(self.root).connect(self.link)
        self.card = CardFunction(dut, max(1, DATA_BYTES // 32))
        self.ram: Any = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=CARD_BYTES)
        for channel in (self.ram.write_if, self.ram.read_if):
            channel.log.setLevel("ERROR")
        self.descriptors = [StreamSource(dut, f"i__{n}") for n in range(4)]
        self.ended = [StreamSink(dut, f"o__{n}") for n in range(4)]
        dut.timeout.value = 200_000
        region = self.root.mem_pool.alloc_region(PLACES * PLACE_BYTES)
        self.host_memory = region.mem
        self.host_base = region.get_absolute_address(0)

    async def start(self) -> None:
        """Reset, enumerate, enable."""
        await start(self.dut)
        await self.root.enumerate(timeout=20_000)
        found = self.root.find_device(self.card.endpoint.pcie_id)
        await found.enable_device()
        await found.set_master()

    def configure(self, case: CopyCase) -> None:
        """Set both ends' sizes; nothing must be under way."""
        capability = self.card.endpoint.pcie_cap
        code = case.payload_bytes.bit_length() - 8
        capability.max_payload_size = self.root.max_payload_size = code
        capability.max_read_request_size = case.request_bytes.bit_length() - 8
        self.card.show()

    async def work(self, copier: int, cases: deque[CopyCase], places: range) -> None:
        """Take cases for this copier, a few at a time; compare what they brought."""
        to_card = copier < 2
        source, source_base = self.host_memory, self.host_base
        target: Any = self.ram
        target_base = 0
        if not to_card:
            source, source_base, target, target_base = target, target_base, source, source_base
        under_way: deque[tuple[CopyCase, int, bytes, bytes]] = deque()
        free = deque(places)
        while cases or under_way:
            while cases and free:
                case = cases.popleft()
                place = free.popleft()
                page = place * PLACE_BYTES + 4096
                begins = page + case.host_offset, page + case.card_offset
                begin, end = begins if to_card else begins[::-1]
                data, guard = random.randbytes(case.length), random.randbytes(2 * GUARD)
                self._fill(source, begin, data)
                self._fill(target, end - GUARD, guard[:GUARD])
                self._fill(target, end + case.length, guard[GUARD:])
                where = {
                    "source": pack_fields(_WHERE, address=source_base + begin),
                    "target": pack_fields(_WHERE, address=target_base + end),
                }
                self.descriptors[copier].send_value(
                    pack_fields(_COPY, length=case.length, tag=place, **where)
                )
                under_way.append((case, end, data, guard))
            case, end, data, guard = under_way.popleft()
            response = _RESPONSE.read(await self.ended[copier].received.get())
            free.append(response.tag)
            assert response.status == OK, f"{case}: status {response.status}"
            wanted = guard[:GUARD] + data + guard[GUARD:]
            begin = end - GUARD
            for _ in range(0 if to_card else PATIENCE):
                # It has left for the host, and is there some time later.
                if self._look(target, begin, len(wanted)) == wanted:
                    break
                await Timer(100, "ns")
            assert self._look(target, begin, len(wanted)) == wanted, f"{case}: other bytes"

    def _fill(self, memory: Any, place: int, data: bytes) -> None:
        if memory is self.ram:
            self.ram.write(place, data)
        else:
            memory[place : place + len(data)] = data

    def _look(self, memory: Any, place: int, length: int) -> bytes:
        if memory is self.ram:
            return bytes(self.ram.read(place, length) or b"")
        return bytes(memory[place : place + length])

    async def copy(self, cases: list[CopyCase]) -> None:
        """Copy all; those that share sizes at once."""
        for group in by_sizes(cases):
            self.configure(group[0])
            shares = [deque(c for c in group if c.to_card == to) for to in (True, False)]
            each = PLACES // 4
            await Combine(
                *(
                    cocotb.start_soon(self.work(n, shares[n // 2], range(n * each, (n + 1) * each)))
                    for n in range(4)
                )
            )
        await Timer(500, "ns")
        assert self.link.is_whole, "credits are lost"


@cocotb.test(timeout_time=5000, timeout_unit="ms")
async def every_two_values_meet(dut):
    """Copy every pair of length, place at either end, and sizes; the last few are random."""
    bed = Bed(dut)
    await bed.start()
    cases = many_cases() if COUNT == MANY else few_cases(COUNT)
    assert len(cases) == COUNT
    await bed.copy(cases)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(request_bytes=SIZES)
async def near_boundaries(dut, request_bytes):
    """Begin and end within 4 bytes of a boundary: of a page, a payload, a read request."""
    bed = Bed(dut)
    await bed.start()
    cases = []
    payload_bytes = random.choice(SIZES)
    for size in sorted({4096, payload_bytes, request_bytes}):
        for begin in range(-4, 5):
            for end in range(-4, 5):
                # Places are counted from a page's begin.
                cases.append(
                    CopyCase(
                        random.random() < 0.5,
                        size + end - begin,
                        begin,
                        random.randint(-4, 4),
                        payload_bytes,
                        request_bytes,
                    )
                )
    random.shuffle(cases)
    await bed.copy(cases)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def aligned_pages_at_the_largest_read_request(dut):
    """Copy whole aligned pages at Max_Read_Request_Size 4096: each byte once, a TLP a page.

    An engine that looks at the bytes left, not at the block's end, asks twice there.
    """
    bed = Bed(dut)
    await bed.start()
    before = len(bed.link.arrived)
    await bed.copy([CopyCase(True, 4096 * n, 0, 0, 4096, 4096) for n in (1, 1, 2)])
    reads = [tlp for tlp in bed.link.arrived[before:] if tlp.data is None]
    assert [tlp.length for tlp in reads] == [1024] * 4
