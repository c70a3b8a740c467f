"""cocotb testbench of hdl.dma.Msix under cocotbext-pcie: its enumeration, table and vectors.

The endpoint is cocotbext-pcie's; its BAR is the block's register bus, its MSI-X capability drives
the block's inputs, and the block's writes are sent as the endpoint's.
"""

import os
from collections import Counter
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster
from cocotbext.pcie.core import MemoryEndpoint
from cocotbext.pcie.core.caps import MsixCapability

from hdl.dma import MemoryRequestLayout
from hdl.dma.msix_parts import msix_table
from hdl.stream import PacketLayout

from ..pcie.endpoint import make_device, make_root, make_root_port
from ..stream import StreamSink, StreamSource, start
from .fields import FieldReader

VECTORS = int(os.environ["VECTOR_COUNT"])
DATA_BYTES = int(os.environ["DATA_BYTES"])
PLACES = {place.entry.name: place for place in msix_table(VECTORS).places()}
BAR_BYTES = 1 << msix_table(VECTORS).address_bits
DEVICE = 0x5678
CONTROL = 2  # Message Control, in the capability


class _Endpoint(MemoryEndpoint):
    """Endpoint whose BAR 0 is the block's bus, and whose writes are the block's."""

    def __init__(self, dut):
        super().__init__()
        self.dut = dut
        self.vendor_id, self.device_id = 0x1234, DEVICE
        self.msix = MsixCapability()
        self.msix.msix_table_size = VECTORS - 1
        self.msix.msix_table_offset = PLACES["table"].address
        self.msix.msix_pba_offset = PLACES["pending"].address
        self.register_capability(self.msix)
        self.add_mem_region(BAR_BYTES, self._read, self._write)
        self.bus: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
        self.requests = StreamSink(dut, "o__request")
        self.beats = StreamSink(dut, "o__data")
        dut.o__response__valid.value = 0
        dut.link_up.value = 1
        cocotb.start_soon(self._follow())
        cocotb.start_soon(self._send())

    async def _read(self, address: int, length: int) -> bytes:
        return (await self.bus.read(address, length)).data

    async def _write(self, address: int, data: bytes) -> None:
        await self.bus.write(address, data)

    async def _follow(self) -> None:
        """Show the block what is in configuration space."""
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.dut.enable.value = int(self.msix.msix_enable)
            self.dut.function_mask.value = int(self.msix.msix_function_mask)
            self.dut.bus_master.value = int(self.bus_master_enable)

    async def _send(self) -> None:
        request, packet = FieldReader(MemoryRequestLayout()), FieldReader(PacketLayout(DATA_BYTES))
        while True:
            address = request.read(await self.requests.received.get()).address
            beat = packet.read(await self.beats.received.get())
            await self.mem_write(address, beat.data.to_bytes(4, "little"))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_host_gets_the_vectors_it_set_up(dut):
    """Enumerate, allocate, mask, unmask, disable as a driver does: each event one interrupt."""
    endpoint = _Endpoint(dut)
    source = StreamSource(dut, "events")
    root = make_root()
    make_root_port(root).connect(make_device(endpoint))
    await start(dut)
    await Timer(500, "ns")
    await root.enumerate(timeout=20_000)
    device: Any = root.find_device(endpoint.pcie_id)
    await device.enable_device()
    await device.set_master()
    assert await device.alloc_irq_vectors(1, VECTORS) == VECTORS

    heard: Counter[int] = Counter()

    def handler(number: int):
        async def hear() -> None:
            heard[number] += 1

        return hear

    for number in range(VECTORS):
        device.request_irq(number, handler(number))

    async def raised(*vectors: int) -> dict[int, int]:
        heard.clear()
        for vector in vectors:
            source.send_value(vector)
        await Timer(3, "us")
        return dict(heard)

    assert await raised(*range(VECTORS)) == dict.fromkeys(range(VECTORS), 1)

    bar, table = device.bar_window[0], PLACES["table"].address
    pending = PLACES["pending"].address
    last = VECTORS - 1
    await bar.write_dword(table + 16 * last + 12, 1)
    assert await bar.read_dword(table + 16 * last + 12) == 1
    assert await raised(last, 0, last) == {0: 1}
    assert await bar.read_qword(pending + last // 64 * 8) == 1 << last % 64
    heard.clear()
    # Data and control are one access of 8 bytes.
    data = device.msi_vectors[last].data
    await bar.write_qword(table + 16 * last + 8, data)
    await Timer(3, "us")
    assert dict(heard) == {last: 1}
    assert await bar.read_qword(pending + last // 64 * 8) == 0

    capability = endpoint.msix.cap_id
    control = await device.capability_read_word(capability, CONTROL)
    assert control & 0x7FF == last
    for changed in (control | 1 << 14, control & ~(1 << 15)):
        await device.capability_write_word(capability, CONTROL, changed)
        assert await raised(0, last, 0) == {}
        heard.clear()
        await device.capability_write_word(capability, CONTROL, control)
        await Timer(3, "us")
        assert dict(heard) == {0: 1, last: 1}

    command = await device.config_read_word(4)
    await device.config_write_word(4, command & ~4)
    assert await raised(0) == {}
    await device.config_write_word(4, command)
    await Timer(3, "us")
    assert dict(heard) == {0: 1}
    await ClockCycles(dut.clk, 10)
