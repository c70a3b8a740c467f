"""cocotb testbench of windows that hdl.roce.Gather binds and invalidates."""

import random
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.config import RoceConfig
from hdl.roce.key_check import KeyRowLayout
from hdl.roce.layouts import CompletionStatus
from hdl.roce.send_layouts import SendPacketKind, SentKind
from hdl.roce.translator import KeyStateLayout
from sim.roce import Region, Rights, WindowBinding
from sim.roce.send_queue import SendKind, SendRequest

from ..stream import start
from .gather_bed import CONFIG, Bed
from .gather_tb import set_up
from .gather_world import DOMAIN, Expected, Packet, Pair, World
from .key_rows import key_row
from .ports import Packer

_KEY_ROW = Packer(KeyRowLayout(CONFIG))
_KEY_STATE = Packer(KeyStateLayout(CONFIG))
#: Indices of windows; the last one is of another protection domain.
_WINDOWS = (9, 10, 11, 12)
_REMOTE = (Rights.WRITE, Rights.READ, Rights.ATOMIC)
_KINDS = {SendKind.BIND: SendPacketKind.BIND, SendKind.INVALIDATE: SendPacketKind.INVALIDATE}


class WindowWorld(World):
    """Windows beside regions."""

    def __init__(self, config: RoceConfig):
        super().__init__(config)
        self.last_keys: dict[int, int] = {}
        #: Key row of each window that was bound, in order.
        self.bound: list[tuple[int, dict[str, Any]]] = []
        self.statuses: list[CompletionStatus] = []
        self.owners: dict[int, int | None] = {}

    def populate(self) -> None:
        """Regions that windows may be bound to, or not, of small and large pages."""
        write, bind = Rights.LOCAL_WRITE, Rights.BIND
        for index, (pages, rights, page_bytes) in enumerate(
            [
                (6, write | bind, 4096),
                (3, bind, 4096),
                (2, write, 4096),
                (3, write | bind, 8192),
                (2, write | bind, 1 << 30),
                (3, write | bind, 1 << 21),
            ]
        ):
            self.add_region(index, pages, rights=rights, page_bytes=page_bytes)
        self.add_region(6, 2, rights=write | bind, domain=DOMAIN + 1)
        for index in _WINDOWS:
            self.keys.add_window(index, DOMAIN + (index == _WINDOWS[-1]))
            self.last_keys[index] = index << 8

    def operation(self, pair: Pair, request: SendRequest) -> Packet:
        """Give a local operation."""
        length = request.window.length if request.window else 0
        entry = self.entry(pair, request)
        return Packet(
            pair,
            _KINDS[request.kind],
            pair.psn,
            begin=pair.psn,
            service=pair.service,
            entry=entry,
            slot=entry.slot,
            epoch=pair.epoch,
            domain=pair.domain,
            length=length,
        )

    def expect(self, packet: Packet) -> Expected:
        """Say what has to come of the next packet."""
        if packet.kind not in _KINDS.values():
            return super().expect(packet)
        pair = packet.pair
        assert packet.entry is not None
        request = packet.entry.request
        index = (request.window.key if request.window else request.invalidate or 0) >> 8
        if request.window is not None:
            is_done = self.keys.bind(request.window, packet.domain, pair.number)
            status = CompletionStatus.SUCCESS if is_done else CompletionStatus.BIND
            if is_done:
                self.last_keys[request.window.key >> 8] = request.window.key
                self.bound.append((request.window.key >> 8, self._row(request.window)))
        else:
            is_done = self.keys.invalidate(request.invalidate or 0, packet.domain, pair.number)
            status = CompletionStatus.SUCCESS if is_done else CompletionStatus.LOCAL_OPERATION
        self.statuses.append(status)
        if is_done:
            self.owners[index] = pair.number if request.window else None
        kind = SentKind.LOCAL if is_done else SentKind.FAILED
        if not is_done:
            pair.dead = packet.epoch
        return Expected(event=(kind.value, pair.index, packet.psn, packet.begin, 1, status.value))

    def _row(self, window: WindowBinding) -> dict[str, Any]:
        """Key row of what is bound now: its first page's row is that of the byte it begins at."""
        region = self._region(window.key)
        first, offset = divmod(region.offset, region.page_bytes)
        moved = replace(region, offset=offset)
        return key_row(moved, self.page_rows[window.region >> 8] + first)

    def _region(self, key: int) -> Region:
        found = self.keys._regions[key >> 8]
        assert found.key == key
        return found


def random_binding(world: WindowWorld, index: int) -> WindowBinding:
    """Window of any region, mostly right."""
    region = world.regions[random.choice([0, 0, 1, 2, 3, 4, 5, 6])]
    begin = random.choice([0, random.randrange(region.length), region.length - 1])
    if random.random() < 0.5:
        # Around the end of a page.
        page = random.randrange(1, len(region.pages) + 1) * region.page_bytes - region.offset
        begin = min(max(0, page + random.randint(-2, 2)), region.length - 1)
    length = random.choice([1, region.length - begin, random.randint(1, region.length - begin)])
    length = min(length, 1 << 31)
    key = index << 8 | (world.last_keys[index] + random.randint(1, 255)) & 255
    rights = Rights(0)
    for right in _REMOTE:
        if random.random() < 0.5:
            rights |= right
    binding = WindowBinding(
        region.key, key, region.base + begin, length, rights, random.random() < 0.5
    )
    if random.random() < 0.2:
        changes: dict[str, Any] = random.choice(
            [
                {"key": world.last_keys[index]},
                {"key": key ^ 1 << random.randrange(8, 32)},
                {"length": region.length - begin + 1 if region.length < 1 << 31 else 0},
                {"length": 0},
                {"address": region.base - 1 & (1 << 64) - 1},
                {"region": region.key ^ 1 << random.randrange(32)},
            ]
        )
        binding = replace(binding, **changes)
    return binding


def random_operation(world: WindowWorld, pair: Pair) -> Packet:
    """BIND or INVALIDATE a window."""
    index = random.choice(_WINDOWS)
    mine = [w for w, owner in world.owners.items() if owner == pair.number]
    if mine and random.random() < 0.7:
        index = random.choice(mine)
    elif random.random() < 0.8:
        binding = random_binding(world, index)
        return world.operation(pair, SendRequest(0, SendKind.BIND, window=binding))
    key = world.last_keys[index]
    if random.random() < 0.2:
        key = random.choice([key ^ 1 << random.randrange(32), random.choice(world.regions).key])
    return world.operation(pair, SendRequest(0, SendKind.INVALIDATE, invalidate=key))


async def _begin(dut: Any, world: WindowWorld, **fields: Any) -> Bed:
    bed = Bed(dut, world, **fields)
    await start(dut)
    for index in _WINDOWS:
        row = {"is_window": 1, "domain": DOMAIN + (index == _WINDOWS[-1])}
        bed.keys.send_value(_KEY_ROW.pack(key=index, row=row))
        bed.key_states.send_value(_KEY_STATE.pack(key=index))
    await bed.fill()
    return bed


async def _told(bed: Bed, world: WindowWorld) -> None:
    """Compare the rows of windows that were bound, and write them, as an engine does."""
    for index, row in world.bound:
        found = bed.key_rows.received.get_nowait()
        assert _KEY_ROW.read(found) == {"key": index, "row": row}
        bed.keys.send_value(found)
    assert bed.key_rows.received.empty()
    world.bound.clear()
    while not bed.keys.idle:
        await ClockCycles(bed.dut.clk, 1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5])
async def windows_are_what_the_model_says(dut, stall):
    """Bind and invalidate, right and wrong, while others send."""
    world = WindowWorld(CONFIG)
    world.populate()
    bed = await _begin(dut, world, stall=stall, latency=(0, 40))
    for number in range(300):
        if number % 3 == 0:
            await bed.exchange(set_up(world, 3, mtu=1024))
        idle = [pair for pair in world.pairs.values() if pair.dead is None]
        chosen = random.sample(idle, min(len(idle), random.choice([1, 1, 2])))
        packets = []
        for pair in world.pairs.values():
            # Nothing else of the queue pair is under way.
            if pair in chosen:
                packets.append(random_operation(world, pair))
            else:
                region = world.regions[0]
                place = region.base + random.randrange(region.length - 600)
                gather = ((region.key, place, 600),)
                packets += world.packets(pair, SendRequest(0, SendKind.WRITE, gather=gather))
        random.shuffle(packets)
        await bed.exchange(packets)
        await _told(bed, world)
    found = {status: world.statuses.count(status) for status in set(world.statuses)}
    assert found[CompletionStatus.SUCCESS] > 40, found
    assert found[CompletionStatus.BIND] > 20, found
    assert found[CompletionStatus.LOCAL_OPERATION] > 20, found


@cocotb.test(timeout_time=400, timeout_unit="us")
async def of_two_one_gets_the_window(dut):
    """Two queue pairs bind the same one, one right behind the other."""
    world = WindowWorld(CONFIG)
    world.populate()
    bed = await _begin(dut, world)
    for number in range(8):
        await bed.exchange(set_up(world, 2))
        region = world.regions[0]
        packets = []
        for pair in world.pairs.values():
            key = _WINDOWS[0] << 8 | 2 * number + pair.index + 1
            binding = WindowBinding(region.key, key, region.base, 8, Rights.WRITE)
            packets.append(world.operation(pair, SendRequest(0, SendKind.BIND, window=binding)))
        await bed.exchange(packets)
        await _told(bed, world)
        expected = [CompletionStatus.SUCCESS, CompletionStatus.BIND]
        assert world.statuses[-2:] == expected
        key = world.last_keys[_WINDOWS[0]]
        request = SendRequest(0, SendKind.INVALIDATE, invalidate=key)
        await bed.exchange([world.operation(world.pairs[0], request)])
        assert world.statuses[-1] == CompletionStatus.SUCCESS


@cocotb.test(timeout_time=400, timeout_unit="us")
async def data_flow_past_a_bind(dut):
    """Packets in front of one, and behind it, leave with no other gap than its own cycles."""
    world = WindowWorld(CONFIG)
    world.populate()
    bed = await _begin(dut, world, latency=(60, 60))
    await bed.exchange(set_up(world, 4, mtu=4096))
    sender, *binders = world.pairs.values()
    region = world.regions[0]
    packets = []
    for number, pair in enumerate([None, *binders]):
        if pair is not None:
            key = _WINDOWS[number - 1] << 8 | 1
            binding = WindowBinding(region.key, key, region.base, 8, Rights.READ)
            packets.append(world.operation(pair, SendRequest(0, SendKind.BIND, window=binding)))
        for page in (1, 2):
            place = region.base + 4096 * page - region.offset
            gather = ((region.key, place, 4096),)
            packets += world.packets(sender, SendRequest(0, SendKind.WRITE, gather=gather))
    bed.data.restart()
    await bed.exchange(packets)
    await _told(bed, world)
    assert world.statuses == [CompletionStatus.SUCCESS] * 3
    beats = 8 * 4096 // CONFIG.data_bytes
    own = 3 if CONFIG.is_narrow else 2
    assert bed.data.span <= beats + own * 3, f"{bed.data.span} cycles, {beats} beats"
