"""cocotb testbench of the library's patches and RtlLink: a root complex, tb.pcie.Wire, a device."""

import os
import random
import time

import cocotb
from cocotb.triggers import ClockCycles, Timer
from cocotbext.pcie.core.tlp import TlpType

from ..stream import start
from .endpoint import SmallEndpoint, make_device, make_root, make_root_port
from .library import FullTlp, message, use_ten_bit_tags
from .link import RtlLink

SEGMENTS = int(os.environ["SEGMENTS"])
ERR_COR = 0x30


async def attach(dut, *, scale: int = 0, enumerated: bool = True):
    """Make all, and enumerate: root complex, endpoint, links."""
    root = make_root()
    upper, lower = (RtlLink(dut, f"ports__{number}", SEGMENTS, scale=scale) for number in range(2))
    make_root_port(root).connect(upper)
    endpoint = SmallEndpoint(0x5678)
    device = make_device(endpoint, credits=(32, 512, 32, 32))
    lower.connect(device)
    await start(dut)
    if enumerated:
        await root.enumerate(timeout=20_000)
    return root, endpoint, device, upper, lower


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(scale=[0, 1])
async def a_device_works_behind_the_hardware(dut, scale):
    """Enumerate, use BARs, DMA and MSI: every TLP crosses the hardware unchanged."""
    root, endpoint, _, upper, lower = await attach(dut, scale=scale)
    begun = time.monotonic()
    found = root.find_device(endpoint.pcie_id)
    await found.enable_device()
    await found.set_master()
    for bar in (0, 1):
        data = random.randbytes(5001)
        await found.bar_window[bar].write(13, data)
        assert await found.bar_window[bar].read(13, len(data)) == data
    memory = root.mem_pool.alloc_region(1 << 16)
    address = memory.get_absolute_address(0)
    data = random.randbytes(20_003)
    await endpoint.mem_write(address + 7, data)
    assert await endpoint.mem_read(address + 7, len(data)) == data
    assert bytes(memory[7 : 7 + len(data)]) == data
    await found.alloc_irq_vectors(32, 32)
    event = found.msi_vectors[5].event
    event.clear()
    await endpoint.msi.issue_msi_interrupt(5)
    await event.wait()
    await ClockCycles(dut.clk, 100)
    assert upper.sent == lower.arrived
    assert lower.sent == upper.arrived
    count = len(upper.sent) + len(lower.sent)
    dut._log.info("%.0f TLPs a second", count / (time.monotonic() - begun))


@cocotb.test(timeout_time=200, timeout_unit="us")
async def messages_arrive(dut):
    """Messages go up to the root complex's handler, and down to the device."""
    root, endpoint, device, _, _ = await attach(dut, enumerated=False)
    heard = []

    async def hear(tlp):
        heard.append(tlp)

    for kind in (TlpType.MSG_TO_RC, TlpType.MSG_DATA_TO_RC, TlpType.MSG_LOCAL):
        root.register_rx_tlp_handler(kind, hear)
    sent = [
        message(TlpType.MSG_TO_RC, ERR_COR, endpoint.pcie_id),
        message(TlpType.MSG_LOCAL, 0x20, endpoint.pcie_id),
        message(TlpType.MSG_DATA_TO_RC, 0x7E, endpoint.pcie_id, data=b"vendor's"),
    ]
    sent[2].message_tail = bytes(range(8))
    for tlp in sent:
        await device.send(tlp)
    await Timer(500, "ns")
    assert [bytes(tlp.pack()) for tlp in heard] == [bytes(tlp.pack()) for tlp in sent]
    await root.send(message(TlpType.MSG_BCAST, 0x19, root.pcie_id))
    await Timer(500, "ns")
    assert [tlp.message_code for tlp in device.messages] == [0x19]


@cocotb.test(timeout_time=200, timeout_unit="us")
async def digests_and_prefixes_arrive(dut):
    """Carry what the library's own TLP loses: digest, prefix, processing hints."""
    root, _, device, _, _ = await attach(dut, enumerated=False)
    heard = []

    async def hear(tlp):
        heard.append(tlp)

    root.register_rx_tlp_handler(TlpType.MEM_WRITE, hear)
    tlp = FullTlp()
    tlp.fmt_type = TlpType.MEM_WRITE
    tlp.set_addr_be_data(0x2000_0000, bytes(range(100)))
    tlp.td, tlp.digest = True, b"sum!"
    tlp.prefix = bytes([0x91, 1, 2, 3])
    tlp.th = True
    await device.send(tlp)
    await Timer(500, "ns")
    (arrived,) = heard
    assert bytes(arrived.pack()) == bytes(tlp.pack())
    assert (arrived.digest, arrived.prefix, arrived.th) == (b"sum!", tlp.prefix, True)
    assert bytes(arrived.data) == bytes(range(100))


@cocotb.test(timeout_time=500, timeout_unit="us")
async def ten_bit_tags(dut):
    """Have more than 256 requests of one requester under way, and tell them apart."""
    root, endpoint, _, upper, _ = await attach(dut)
    found = root.find_device(endpoint.pcie_id)
    await found.enable_device()
    use_ten_bit_tags(root)
    data = random.randbytes(4096)
    await found.bar_window[0].write(0, data)
    reads = [cocotb.start_soon(found.bar_window[0].read(4 * n, 4)) for n in range(600)]
    for number, read in enumerate(reads):
        assert await read == data[4 * number : 4 * number + 4]
    tags = {tlp.tag for tlp in upper.sent if tlp.data is None and tlp.kind == 0}
    assert len(tags) == 600
    assert min(tags) >= 256


@cocotb.test(timeout_time=500, timeout_unit="us")
async def the_link_goes_down_and_up(dut):
    """After the link went down in mid-traffic it trains again and works."""
    root, endpoint, _, upper, lower = await attach(dut)
    found = root.find_device(endpoint.pcie_id)
    await found.enable_device()
    for _ in range(2):
        write = cocotb.start_soon(found.bar_window[0].write(0, bytes(20_000)))
        await Timer(100, "ns")
        for link in (lower, upper):
            link.link(False)
        write.cancel()
        await Timer(500, "ns")
        for link in (lower, upper):
            link.link(True)
        await Timer(1000, "ns")
        data = random.randbytes(1000)
        await found.bar_window[0].write(0, data)
        assert await found.bar_window[0].read(0, len(data)) == data
