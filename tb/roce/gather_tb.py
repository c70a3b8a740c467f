"""cocotb testbench of hdl.roce.Gather."""

import random
from collections.abc import Iterator
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.opcode import Service
from sim.roce.send_queue import SendKind, SendRequest

from ..stream import reset, start
from .gather_bed import CONFIG, DATA_BYTES, Bed
from .gather_world import Packet, Pair, World

_SENDS = (SendKind.SEND, SendKind.WRITE)
_ATOMICS = (SendKind.COMPARE_SWAP, SendKind.FETCH_ADD)


def set_up(world: World, count: int, *, mtu: int = 0, ring_shift: int = 7) -> list[Packet]:
    """Set up so many queue pairs."""
    services = [Service.RC, Service.RC, Service.UC, Service.UD]
    return [
        world.pair(
            index,
            service=random.choice(services),
            mtu=mtu or random.choice([256, 256, 1024, 4096]),
            ring_shift=ring_shift,
        )
        for index in range(count)
    ]


def random_length() -> int:
    """Bytes of a piece."""
    return random.choice(
        [0, 1, 8, 64, DATA_BYTES, random.randrange(300), random.randrange(300), 1500, 5000]
    )


def random_request(world: World, *, bad: float) -> SendRequest:
    """Work request of any kind."""
    kind = random.choice([*_SENDS * 3, SendKind.READ, *_ATOMICS])
    if kind in _SENDS:
        if random.random() < 0.25:
            size = random.choice([0, 1, 32, 224, random.randrange(225)])
            return SendRequest(0, kind, inline=random.randbytes(size))
        count = random.choice([0, 1, 1, 1, 2, 3, 4, random.randint(1, 16), 16])
        gather = [world.piece(random_length(), bad=bad) for _ in range(count)]
        return SendRequest(0, kind, gather=tuple(gather))
    if kind is SendKind.READ:
        piece = world.piece(random.choice([0, 1, 100, 5000]), bad=bad, writes=True)
        return SendRequest(0, kind, gather=(piece,) if piece[2] or random.random() < 0.5 else ())
    key, address, _ = world.piece(8, bad=bad, writes=True)
    region = next(r for r in world.regions if r.key >> 8 == 0)
    if random.random() < 0.8:
        # At a multiple of 8 of the place, not of the address.
        place = random.randrange((region.offset + 7) // 8, (region.offset + region.length) // 8)
        key, address = region.key, region.base - region.offset + 8 * place
    operands = random.getrandbits(64), random.getrandbits(64)
    gather = ((key, address, 8),)
    return SendRequest(0, kind, gather=gather, operand=operands[0], compare=operands[1])


def interleave(queues: list[list[Packet]]) -> Iterator[Packet]:
    """Packets of several queue pairs in any order that keeps each one's."""
    while queues := [queue for queue in queues if queue]:
        queue = random.choice(queues)
        for _ in range(min(len(queue), random.choice([1, 1, 4]))):
            yield queue.pop(0)


def random_packets(
    world: World, count: int, *, bad: float, pairs: list[Pair] | None = None
) -> list[Packet]:
    """Packets of ``count`` requests of each queue pair; some are no such, or of wrong length."""
    queues = []
    for pair in world.pairs.values() if pairs is None else pairs:
        queue: list[Packet] = []
        for _ in range(count):
            kind = random.random()
            if kind < bad / 4:
                queue += world.packets(pair, SendRequest(0, SendKind.BIND))
            else:
                request = random_request(world, bad=bad)
                is_wrong = random.random() < bad / 4 and request.kind not in _ATOMICS
                is_wrong = is_wrong and request.inline is None
                extra = random.choice([1, 300, 3000, -1, -300]) if is_wrong else 0
                queue += world.packets(pair, request, extra=max(extra, -request.length))
        queues.append(queue)
    return list(interleave(queues))


async def begin(dut, world: World, **fields) -> Bed:
    """Start the device with regions of every kind."""
    bed = Bed(dut, world, **fields)
    await start(dut)
    await bed.fill()
    return bed


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(
    pause=[0.0, 0.5], stall=[0.0, 0.5], longest=[0, 60], first=["", "frame", "data"]
)
async def any_packets_become_what_they_should(dut, pause, stall, longest, first):
    """Send lists and inline data of any lengths, READs, atomic operations; some fail."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world, pause=pause, stall=stall, latency=(0, longest), first=first)
    for bad in (0.0, 0.05, 0.2):
        await bed.exchange(set_up(world, 4))
        await bed.exchange(random_packets(world, 8, bad=bad))


@cocotb.test(timeout_time=400, timeout_unit="us")
async def who_fails_is_silent_until_it_goes_back(dut):
    """Packets behind the one that failed leave nothing; then it fails again, or leaves."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world, latency=(0, 30))
    for mtu in (256, 1024):
        for _ in range(6):
            await bed.exchange(set_up(world, 3, mtu=mtu))
            pair = world.pairs[0]
            others = [world.pairs[1], world.pairs[2]]
            good = SendRequest(0, SendKind.WRITE, gather=(world.piece(4 * mtu),))
            packets = world.packets(pair, good)
            index = random.choice([1, 4, 6, 8])
            region = world.regions[index]
            place = 4096 - region.offset if index == 8 else 0
            place += min(random.randrange(64), region.length - place - 1)
            piece = region.key, region.base + place, min(2 * mtu, region.length - place)
            kind = SendKind.READ if index == 1 else SendKind.SEND
            failing = world.packets(pair, SendRequest(0, kind, gather=(piece,)))
            behind = random_packets(world, 2, bad=0.3, pairs=[pair])
            near = [p for other in others for p in world.packets(other, good)]
            await bed.exchange([*packets, *failing, *behind, *near])
            # From the middle of the first one on, as if it had to be sent again.
            begin_at = random.randrange(len(packets))
            await bed.go_back(packets[begin_at])
            again = [*packets[begin_at:], *failing, *behind]
            poisoned, heals = world.poisoned, random.random() < 0.5
            world.poisoned = set() if heals else poisoned
            await bed.exchange(replace(packet, epoch=1) for packet in again)
            world.poisoned = poisoned


@cocotb.test(timeout_time=400, timeout_unit="us")
async def who_goes_back_finds_its_place_in_the_list(dut):
    """From any packet of a message of many pieces, again and again."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world)
    await bed.exchange(set_up(world, 1, mtu=256))
    (pair,) = world.pairs.values()
    for epoch in range(20):
        gather = tuple(world.piece(random_length()) for _ in range(random.randint(1, 16)))
        packets = world.packets(pair, SendRequest(0, SendKind.WRITE, gather=gather))
        # Not to its end first, so that its slots are still on chip.
        await bed.exchange(packets[: random.randint(1, len(packets))])
        for _ in range(4):
            first, end = sorted(random.choices(range(len(packets) + 1), k=2))
            await bed.go_back(packets[0])
            await bed.exchange(replace(p, epoch=epoch % 16) for p in packets[first:end])
        await bed.go_back(packets[0])
        await bed.exchange(packets)


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(length=[0, 1, 100, 512, 700])
async def a_list_ends_with_its_message(dut, length):
    """Behind the last byte there may be pieces without bytes; a byte more, anywhere, is wrong."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world)
    empty = world.piece(0)
    for more in (0, 1, 255, 3000):
        for before, behind in ((0, 0), (1, 0), (2, 3), (0, 13)):
            await bed.exchange(set_up(world, 2, mtu=256))
            head = [world.piece(length)] if length else []
            requests = [[*head, *[empty] * before, world.piece(more), *[empty] * behind]]
            requests += [[world.piece(length + more), *[empty] * (before + behind)]]
            packets = []
            for pair, gather in zip(world.pairs.values(), requests, strict=True):
                request = SendRequest(0, SendKind.WRITE, gather=tuple(gather))
                packets.append(world.packets(pair, request, extra=-more))
            await bed.exchange(interleave(packets))


@cocotb.test(timeout_time=400, timeout_unit="us")
async def a_response_has_a_place_of_its_length(dut):
    """Refuse a READ or an atomic operation whose piece is longer, or shorter, than its data."""
    world = World(CONFIG)
    region = world.add_region(0, 6)
    bed = await begin(dut, world)
    for length in (0, 1, 7, 8, 9, 300):
        for extra in (0, 1, -1, 300, -300):
            if length + extra < 0:
                continue
            await bed.exchange(set_up(world, 2, mtu=256))
            place = region.base - region.offset + 4096
            gather = ((region.key, place, length),)
            read = SendRequest(0, SendKind.READ, gather=gather)
            packets = world.packets(world.pairs[0], read, extra=extra)
            atomic = SendRequest(0, SendKind.FETCH_ADD, gather=gather)
            await bed.exchange([*packets, *world.packets(world.pairs[1], atomic)])


@cocotb.test(timeout_time=400, timeout_unit="us")
async def an_error_in_any_span_damages_its_packet(dut):
    """Of several pieces, one is in memory that fails: the first, the last, or one between."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world)
    failing = world.regions[8]
    for place in range(4):
        await bed.exchange(set_up(world, 2, mtu=4096))
        gather = [world.piece(random.randint(1, 300)) for _ in range(4)]
        begins = failing.base + 4096 - failing.offset
        gather[place] = (failing.key, begins + random.randrange(64), random.randint(1, 300))
        requests = [SendRequest(0, SendKind.SEND, gather=tuple(gather))]
        requests.append(SendRequest(0, SendKind.SEND, gather=(world.piece(100),)))
        queues = [[p for r in requests for p in world.packets(q, r)] for q in world.pairs.values()]
        await bed.exchange(interleave(queues))


@cocotb.test(timeout_time=400, timeout_unit="us")
async def a_new_queue_pair_knows_nothing_of_the_old_one(dut):
    """Another list in the same slot, right behind the SET_UP."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world)
    for first in (100, 50, 70, 20):
        new = [replace(packet, slot=4) for packet in set_up(world, 1, mtu=256)]
        world.pairs[0].slot = 4
        gather = (world.piece(first), world.piece(2000))
        new += world.packets(world.pairs[0], SendRequest(0, SendKind.WRITE, gather=gather))
        await bed.exchange(new[:4])


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(ring_shift=[0, 1, 2, 3, 15])
async def inline_data_go_around_the_ring(dut, ring_shift):
    """Entries over the end of their ring have two spans of data."""
    world = World(CONFIG)
    bed = await begin(dut, world)
    most = min(224, 64 * 2**ring_shift - 32)
    for _ in range(8):
        await bed.exchange(set_up(world, 4, mtu=256, ring_shift=ring_shift))
        for _ in range(8):
            packets = []
            for pair in world.pairs.values():
                size = random.choice([0, 1, 32, most, random.randint(0, most)])
                request = SendRequest(0, SendKind.SEND, inline=random.randbytes(size))
                packets += world.packets(pair, request)
            await bed.exchange(packets)


def writes(world: World, count: int, length: int, *, pieces: int = 1) -> list[Packet]:
    """Make WRITEs of so many pieces, each within a page, of queue pairs in turns."""
    region = world.regions[0]
    packets = []
    for number in range(count):
        pair = world.pairs[number % len(world.pairs)]
        gather = []
        for _ in range(pieces):
            page = random.randrange(1, len(region.pages) - 1) * 4096 - region.offset
            place = page + random.randrange(4096 - length + 1)
            gather.append((region.key, region.base + place, length))
        packets += world.packets(pair, SendRequest(0, SendKind.WRITE, gather=tuple(gather)))
    return packets


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(length=[256, 1024, 4096], first=["", "data"])
async def a_beat_leaves_in_every_cycle(dut, length, first):
    """Of packets of one span, back to back, there is no bubble, whatever the latency hides."""
    world = World(CONFIG)
    world.add_region(0, 6)
    spans = 14 if CONFIG.is_narrow else 60
    latency = min(600, (spans - 2) * length // DATA_BYTES)
    bed = await begin(dut, world, latency=(latency, latency), first=first)
    await bed.exchange(set_up(world, 8, mtu=4096))
    packets = writes(world, max(24, 100 * 256 // length), length)
    bed.data.restart()
    await bed.exchange(packets)
    beats = sum(-(-packet.length // DATA_BYTES) for packet in packets)
    assert bed.data.span == beats, f"{bed.data.span} cycles, {beats} beats"


@cocotb.test(timeout_time=400, timeout_unit="us")
async def pages_are_crossed_at_the_pace_of_memory(dut):
    """4 KiB over the end of a page take as many cycles as beats come from memory."""
    world = World(CONFIG)
    region = world.add_region(0, 6)
    bed = await begin(dut, world, latency=(100, 100))
    await bed.exchange(set_up(world, 8, mtu=4096))
    packets = []
    for number in range(32):
        page = random.randrange(1, len(region.pages) - 2) * 4096 - region.offset
        piece = region.key, region.base + page + random.randrange(4096), 4096
        packets += world.packets(
            world.pairs[number % 8], SendRequest(0, SendKind.WRITE, gather=(piece,))
        )
    bed.data.restart()
    bed.memory.data.restart()
    await bed.exchange(packets)
    assert bed.memory.data.span == bed.memory.data.accepted
    assert bed.data.span <= bed.memory.data.accepted


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(is_busy=[False, True])
async def a_packet_or_a_piece_every_two_cycles(dut, is_busy):
    """Short packets, and those of short pieces, while somebody else asks the Translator."""
    world = World(CONFIG)
    world.add_region(0, 6)
    bed = await begin(dut, world, latency=(20, 20))
    await bed.exchange(set_up(world, 8, mtu=4096))
    for pieces, count in ((1, 64), (16, 16)):
        packets = writes(world, count, min(64, DATA_BYTES), pieces=pieces)
        bed.frames.restart()
        if is_busy:
            for _ in range(2000):
                bed.rival.send_value(0)
        await bed.exchange(packets)
        bed.rival.flush()
        # With narrow beats one part after the other, for keys are looked up one by one.
        pace = 8 if CONFIG.is_narrow else 2
        assert bed.frames.span <= pace * pieces * (count - 1) + 1


@cocotb.test(timeout_time=20, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Cycles from a packet to its read, and from its data to frame and data."""
    world = World(CONFIG)
    world.add_region(0, 6)
    bed = await begin(dut, world)
    await bed.exchange(set_up(world, 1))
    for _ in range(4):
        for port in (bed.packets, bed.memory, bed.memory.data, bed.frames, bed.data):
            port.restart()
        await ClockCycles(dut.clk, random.randint(1, 9))
        await bed.exchange(writes(world, 1, 64))
        to_read = bed.memory.first - bed.packets.first
        assert to_read - (28 if CONFIG.is_narrow else 22) == 0, to_read
        assert bed.frames.first - bed.memory.data.first == (1 if CONFIG.is_narrow else 2)
        to_data = bed.data.first - bed.memory.data.first
        assert to_data == {8: 5, 16: 3}.get(DATA_BYTES, 4), to_data


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(cycles=[3, 40, 90, 200])
async def reset_forgets_all(dut, cycles):
    """After a reset at any time, packets find an empty device."""
    world = World(CONFIG)
    world.populate()
    bed = await begin(dut, world)
    await bed.exchange(set_up(world, 4))
    packets = random_packets(world, 3, bad=0.2)
    task = cocotb.start_soon(bed.exchange(packets))
    await ClockCycles(dut.clk, cycles)
    task.cancel()
    bed.forget()
    await reset(dut, *bed.ports)
    await ClockCycles(dut.clk, CONFIG.queue_pairs + 4)
    await bed.exchange(set_up(world, 4))
    await bed.exchange(random_packets(world, 4, bad=0.05))
