"""cocotb testbench of hdl.pcie.Switch, alone or two as a tree: a root complex and endpoints.

All are cocotbext-pcie's, none of it written for this switch. Port 0 leads to the root complex,
every other one to an endpoint; the last one stands for the card's own.
"""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, Timer, with_timeout
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

from ..stream import start
from .endpoint import SmallEndpoint, make_device, make_root, make_root_port
from .library import message
from .link import RtlLink

PORTS = int(os.environ["PORTS"])
SEGMENTS = int(os.environ["SEGMENTS"])
#: Functions of switches, upstream and downstream.
BRIDGES = tuple(int(count) for count in os.environ["BRIDGES"].split(","))
#: Ports of the lower switch of a tree: traffic among them must not leave it.
LOWER = range(int(os.environ["LOWER"]), PORTS)

UPSTREAM_TYPE, DOWNSTREAM_TYPE = 5, 6
ERR_COR, ERR_NONFATAL, ERR_FATAL = 0x30, 0x31, 0x33
TURN_OFF, TURN_OFF_ACK = 0x19, 0x1B
ACS, ACS_REQUEST_REDIRECT, ACS_UPSTREAM_FORWARDING = 0x000D, 1 << 2, 1 << 4


class Host:
    """A root complex, endpoints, and the links to the switch between.

    Attributes
    ----------
    links : list of RtlLink
        By port.
    endpoints : dict of int to SmallEndpoint
        By port.
    heard : list
        Messages that came to the root complex.
    """

    def __init__(self, dut, absent: tuple[int, ...] = ()):
        self.dut = dut
        self.root = make_root()
        self.links = [RtlLink(dut, f"ports__{port}", SEGMENTS) for port in range(PORTS)]
        make_root_port(self.root).connect(self.links[0])
        self.endpoints: dict[int, SmallEndpoint] = {}
        self.devices: dict[int, Any] = {}
        for port in range(1, PORTS):
            if port in absent:
                self.links[port].link(False)
                continue
            self.endpoints[port] = SmallEndpoint(0x5600 + port)
            self.devices[port] = make_device(self.endpoints[port])
            self.links[port].connect(self.devices[port])
        self.heard: list[Any] = []
        for kind in (TlpType.MSG_TO_RC, TlpType.MSG_LOCAL, TlpType.MSG_GATHER):
            self.root.register_rx_tlp_handler(kind, self._hear)

    async def _hear(self, tlp) -> None:
        self.heard.append(tlp)

    async def start(self) -> None:
        """Reset, and train the links."""
        await start(self.dut)
        await Timer(500, "ns")

    async def enumerate(self) -> None:
        """Let the root complex find and enable everything."""
        await self.root.enumerate(timeout=20_000)
        for endpoint in self.endpoints.values():
            device = self.found(endpoint)
            await device.enable_device()
            await device.set_master()

    def found(self, endpoint: SmallEndpoint) -> Any:
        """Device as the root complex knows it; not found fails the test."""
        devices = [each for each in self.all_devices() if each.device_id == endpoint.device_id]
        assert len(devices) == 1, f"{len(devices)} devices {endpoint.device_id:#x} found"
        return devices[0]

    def all_devices(self) -> list[Any]:
        """All functions that were found."""
        devices, buses = [], [self.root.host_bridge.bus]
        while buses:
            bus = buses.pop()
            devices += bus.devices
            buses += bus.children
        return devices

    async def finish(self) -> None:
        """Wait until the switch is empty; all credits must be home."""
        await ClockCycles(self.dut.clk, 200)
        for link in self.links:
            if link.port.is_open:
                assert link.is_whole, f"{link.name} lacks credits"


async def attach(dut, **options) -> Host:
    """Make all, and enumerate."""
    host = Host(dut, **options)
    await host.start()
    await host.enumerate()
    return host


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def all_is_found(dut):
    """Enumerate: see every endpoint, and every port of the switches as the bridge it is."""
    host = await attach(dut)
    for endpoint in host.endpoints.values():
        device = host.found(endpoint)
        assert device.pcie_id == endpoint.pcie_id
        assert all(device.bar_addr[bar] is not None for bar in (0, 1))
    bridges = [each for each in host.all_devices() if each.is_bridge() and each.pcie_type() != 4]
    kinds = [each.pcie_type() for each in bridges]
    assert (kinds.count(UPSTREAM_TYPE), kinds.count(DOWNSTREAM_TYPE)) == BRIDGES
    assert all(each.class_code >> 8 == 0x0604 for each in bridges)
    # Downstream ports are devices 0, 1, ... of the bus inside.
    for bridge in bridges:
        if bridge.pcie_type() == UPSTREAM_TYPE:
            inside = [each for each in bridges if each.bus_num == bridge.subordinate.bus_num]
            assert [each.device_num for each in inside] == list(range(len(inside)))
    await host.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def an_empty_slot_is_no_harm(dut):
    """Enumerate though one link is down: all else is found, and works."""
    host = await attach(dut, absent=(1,))
    for endpoint in host.endpoints.values():
        device = host.found(endpoint)
        await device.bar_window[0].write(0, b"here")
        assert await device.bar_window[0].read(0, 4) == b"here"
    bridges = [each for each in host.all_devices() if each.is_bridge() and each.pcie_type() != 4]
    assert len(bridges) == sum(BRIDGES)
    await host.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def nothing_passes_before_enumeration(dut):
    """Have no window open after reset: refuse what the host asks for, drop what it writes."""
    host = Host(dut)
    await host.start()
    for address in (0, 0x8_0000):  # which the library's root port lets through
        write = Tlp()
        write.fmt_type = TlpType.MEM_WRITE
        write.set_addr_be_data(address, b"lost")
        await host.root.send(write)
        read = Tlp()
        read.fmt_type = TlpType.MEM_READ
        read.set_addr_be(address, 4)
        (answer,) = await host.root.perform_nonposted_operation(read, 10, "us")
        assert answer.status == CplStatus.UR
    assert not any(link.arrived for link in host.links[1:])
    await host.finish()


async def count_crossings(dut, counts: list[int]) -> None:
    """Count beats between the switches of a tree."""
    while True:
        await ClockCycles(dut.clk, 1)
        counts[0] += int(dut.between.value) != 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def peers_talk_without_the_host(dut):
    """Write and read between each pair of endpoints; nothing of it appears at the upstream port."""
    host = await attach(dut)
    before = len(host.links[0].arrived), len(host.links[0].sent)
    crossings = [0]
    if LOWER:
        cocotb.start_soon(count_crossings(dut, crossings))
    for source in host.endpoints:
        for target in host.endpoints:
            if source == target:
                continue
            crossed = crossings[0]
            device = host.found(host.endpoints[target])
            for bar in (0, 1):
                offset, data = random.randrange(1000), random.randbytes(700)
                address = device.bar_addr[bar] + offset
                await host.endpoints[source].mem_write(address, data)
                assert await host.endpoints[source].mem_read(address, len(data)) == data
                assert await host.endpoints[target].read_region(bar, offset, len(data)) == data
            if source in LOWER and target in LOWER:
                assert crossings[0] == crossed, "it left the switch that both are below"
    assert (len(host.links[0].arrived), len(host.links[0].sent)) == before
    await host.finish()


async def set_acs(host: Host, control: int) -> None:
    """Write ACS Control of every downstream port, where it must be able to do that."""
    for port in host.all_devices():
        if not port.is_bridge() or port.pcie_type() != DOWNSTREAM_TYPE:
            continue
        offset = 0x100
        while (header := await port.config_read_dword(offset)) & 0xFFFF != ACS:
            offset = header >> 20
            assert offset, "no ACS capability"
        assert await port.config_read_word(offset + 4) & control == control
        await port.config_write_word(offset + 6, control)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def acs_sends_peers_to_the_host(dut):
    """With ACS P2P Request Redirect, what is for a peer goes up; without it, straight."""
    host = await attach(dut)
    source, target = (host.endpoints[port] for port in (PORTS - 2, PORTS - 1))
    device = host.found(target)
    # At every downstream port, as Linux does: on the way up through another switch the target is
    # behind the port where it comes in.
    await set_acs(host, ACS_REQUEST_REDIRECT | ACS_UPSTREAM_FORWARDING)
    before = len(host.links[0].arrived)
    await source.mem_write(device.bar_addr[1] + 64, b"by way of the host")
    await Timer(2, "us")
    # The library's root port sends nothing back to where it came from: there it ends.
    (tlp,) = host.links[0].arrived[before:]
    assert tlp.address == device.bar_addr[1] + 64
    assert not any(await target.read_region(1, 64, 18))
    await set_acs(host, 0)
    await source.mem_write(device.bar_addr[1] + 64, b"straight")
    await Timer(2, "us")
    assert await target.read_region(1, 64, 8) == b"straight"
    await host.finish()


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def interrupts_and_messages_find_their_way(dut):
    """Send MSI and error messages of every endpoint, and power-off to all and back."""
    host = await attach(dut)
    for endpoint in host.endpoints.values():
        device = host.found(endpoint)
        await device.alloc_irq_vectors(32, 32)
        for vector in (0, 5, 31):
            event = device.msi_vectors[vector].event
            event.clear()
            await endpoint.msi.issue_msi_interrupt(vector)
            await with_timeout(event.wait(), 5, "us")
    host.heard.clear()
    sent = []
    for port, endpoint in host.endpoints.items():
        for code in (ERR_COR, ERR_NONFATAL, ERR_FATAL):
            await host.devices[port].send(message(TlpType.MSG_TO_RC, code, endpoint.pcie_id))
            sent.append((endpoint.pcie_id, code))
    await Timer(3, "us")
    own = {endpoint.pcie_id for endpoint in host.endpoints.values()}
    heard = [(tlp.requester_id, tlp.message_code) for tlp in host.heard]
    assert sorted(pair for pair in heard if pair[0] in own) == sorted(sent)

    # Power-off is asked of all; when all have answered, the host hears it once.
    host.heard.clear()
    await host.root.send(message(TlpType.MSG_BCAST, TURN_OFF, PcieId(0, 0, 0)))
    await Timer(2, "us")
    for number, (port, device) in enumerate(host.devices.items()):
        assert [tlp.message_code for tlp in device.messages] == [TURN_OFF]
        assert not host.heard, f"answered when {number} of {len(host.devices)} had"
        requester = host.endpoints[port].pcie_id
        await device.send(message(TlpType.MSG_GATHER, TURN_OFF_ACK, requester))
        await Timer(1, "us")
    assert [tlp.message_code for tlp in host.heard] == [TURN_OFF_ACK]
    await host.finish()


async def deliver_with_a_flag(host: Host, *, flushes: bool) -> None:
    """Write data to a peer and a flag to the host, and look at the flag before the data.

    A drive writes data to a peer, then a flag to the host. While the peer is slow, the flag is
    there first. If the drive reads from the peer between, the flag waits for the data.
    """
    drive, peer = PORTS - 2, PORTS - 1
    address = host.found(host.endpoints[peer]).bar_addr[1]
    flag = host.root.mem_pool.alloc_region(4096)
    data = random.randbytes(256)
    host.links[peer].is_held = True

    async def deliver() -> None:
        await host.endpoints[drive].mem_write(address, data)
        if flushes:
            await host.endpoints[drive].mem_read(address, 4)
        await host.endpoints[drive].mem_write(flag.get_absolute_address(0), b"done")

    delivery = cocotb.start_soon(deliver())
    await Timer(3, "us")
    is_there = await host.endpoints[peer].read_region(1, 0, len(data)) == data
    assert not is_there
    assert (bytes(flag[0:4]) == b"done") == (not flushes)
    host.links[peer].is_held = False
    while bytes(flag[0:4]) != b"done":
        await Timer(20, "ns")
    if flushes:
        assert await host.endpoints[peer].read_region(1, 0, len(data)) == data
    await delivery
    await Timer(1, "us")
    assert await host.endpoints[peer].read_region(1, 0, len(data)) == data
    await host.endpoints[peer].write_region(1, 0, bytes(len(data)))
    await host.finish()


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def a_flag_may_overtake_data_without_a_flush(dut):
    """Between two targets there is no order; a read of the first makes one."""
    host = await attach(dut)
    for flushes in (False, True):
        await deliver_with_a_flag(host, flushes=flushes)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def all_at_once(dut):
    """Use BARs, DMA and peers at the same time, on every port."""
    host = await attach(dut)
    memory = host.root.mem_pool.alloc_region(1 << 16)
    base = memory.get_absolute_address(0)

    async def by_host(port) -> None:
        device, data = host.found(host.endpoints[port]), random.randbytes(3001)
        for bar in (0, 1):
            await device.bar_window[bar].write(13, data)
            assert await device.bar_window[bar].read(13, len(data)) == data
            assert await host.endpoints[port].read_region(bar, 13, len(data)) == data

    async def to_host(port) -> None:
        at, data = 4096 * port + 5, random.randbytes(4001)
        await host.endpoints[port].mem_write(base + at, data)
        assert await host.endpoints[port].mem_read(base + at, len(data)) == data
        assert bytes(memory[at : at + len(data)]) == data

    async def to_peer(port) -> None:
        target = port % (PORTS - 1) + 1
        address = host.found(host.endpoints[target]).bar_addr[1] + 0x2000 * port
        data = random.randbytes(4000)
        await host.endpoints[port].mem_write(address, data)
        assert await host.endpoints[port].mem_read(address, len(data)) == data

    works = [work(port) for port in host.endpoints for work in (by_host, to_host, to_peer)]
    for task in [cocotb.start_soon(work) for work in works]:
        await with_timeout(task, 500, "us")
    await host.finish()
