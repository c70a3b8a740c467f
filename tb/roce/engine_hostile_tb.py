"""cocotb testbench of hdl.roce.engine: hostile replies, and work queues full of anything."""

import os
import random
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import cocotb

from sim.headers.infiniband import OPCODES
from sim.network import Link
from sim.roce import (
    QueuePair,
    ReceiveQueue,
    Region,
    Rights,
    RocePacket,
    SendKind,
    SendQueuePair,
    SendRequest,
    SendStatus,
    Service,
    build,
    parse,
)
from sim.roce.work_entry import SLOT_BYTES, BadEntryError, decode_entry, encode_entry

from .conversation import ADDRESSES
from .engine_bed import EngineBed
from .exchange import Exchange, Pair, Plan, World, random_script
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
_LONG = "LONG" in os.environ
_EXCHANGES = 200 if _LONG else 12
_ROUNDS = 400 if _LONG else 40
_PSNS = 1 << 24
_LIMIT = 12_000
_NUMBERS = {name: number for number, name in OPCODES.items()}
_REPLIES = range(0x0D, 0x13)
_RESPONSES = ["READ_RESPONSE_FIRST", "READ_RESPONSE_MIDDLE", "READ_RESPONSE_LAST"]
_RESPONSES += ["READ_RESPONSE_ONLY"]
#: Hostile queue pairs use nothing but this region, in a protection domain of their own.
_DOMAIN, KEY, BASE, REGION_BYTES = 7, 0x0900, 1 << 45, 1 << 16


async def begin(dut) -> World:
    """Give a device, whose time goes on by a tick a cycle."""
    bed = EngineBed(dut, _CONFIG, queue_shift=10)
    await bed.start()
    dut.tick.value = 1
    world = World(bed)
    await world.begin()
    return world


async def talk(world: World, pair: Pair, is_over: Any) -> None:
    """Let a good pair have one exchange after the other."""
    while not is_over():
        scripts = (random_script(random.Random(), 8), random_script(random.Random(), 8))
        await Exchange(world, pair, Plan(scripts)).run(limit=_LIMIT)


class Forger:
    """Makes of each reply some that nobody should believe.

    Parameters
    ----------
    world : World
    may_delay : bool
        Also those of which the engine may think that something was lost: in place and time right,
        of another kind or length.
    """

    def __init__(self, world: World, *, may_delay: bool):
        self.world, self.may_delay = world, may_delay
        self.forged: Counter[str] = Counter()
        self.requests: list[tuple[Link, int, int]] = []
        self.kinds = [self.damage, self.partition, self.source, self.number, self.future]
        self.kinds += [self.past, self.unasked, self.syndrome]
        if may_delay:
            self.kinds += [self.length, self.kind]
        world.on_frame = self.see

    def see(self, number: int, frame: bytes) -> None:
        """Look at a frame that is on its way to a queue pair: forge what overtakes it."""
        packet = parse(frame)
        if packet.bth["opcode"] not in _REPLIES:
            # Each exchange has links of its own.
            link = self.world.links[number]
            self.requests.append((link, packet.psn, packet.bth["opcode"]))
            return
        for _ in range(random.randrange(4)):
            make = random.choice(self.kinds)
            forged = make(packet, frame)
            if forged is not None:
                self.forged[make.__name__] += 1
                self.world.bed.put(forged)

    @staticmethod
    def _with(packet: RocePacket, **bth: int) -> bytes:
        headers = {**packet.headers, "bth": {**packet.bth, **bth}}
        return build(replace(packet, headers=headers), destination_mac=0x0200_0000_0002)

    def damage(self, packet: RocePacket, frame: bytes) -> bytes:
        """Change a bit of what ICRC covers."""
        begin = frame.index(packet.ip_header) + len(packet.ip_header) + 8
        bit = 8 * random.choice([n for n in range(begin, len(frame)) if n != begin + 4])
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << random.randrange(8)
        return bytes(changed)

    def partition(self, packet: RocePacket, frame: bytes) -> bytes:
        """Use another partition."""
        return self._with(packet, p_key=random.choice([0x7FFE, 0x8000, 0xFFFE]))

    def source(self, packet: RocePacket, frame: bytes) -> bytes:
        """Come from somebody else."""
        other = replace(packet, source=random.choice([bytes([192, 0, 2, 99]), bytes(16)]))
        other = replace(other, destination=packet.destination.rjust(len(other.source), b"\0"))
        return self._with(other)

    def number(self, packet: RocePacket, frame: bytes) -> bytes:
        """Go to a queue pair that is not, or not the one whose row it has."""
        number = packet.bth["dest_qp"] + 16 * random.randrange(1, 1000)
        return self._with(packet, dest_qp=random.choice([number, 9]))

    def future(self, packet: RocePacket, frame: bytes) -> bytes:
        """Acknowledge what was never sent."""
        return self._with(packet, psn=(packet.psn + random.randrange(200, 1 << 23)) % _PSNS)

    def past(self, packet: RocePacket, frame: bytes) -> bytes:
        """Answer what was answered long ago."""
        return self._with(packet, psn=(packet.psn - random.randrange(200, 1 << 23)) % _PSNS)

    def unasked(self, packet: RocePacket, frame: bytes) -> bytes:
        """Respond to a READ that nobody asked for."""
        name = random.choice(_RESPONSES)
        psn = (packet.psn + random.choice([-1, 1]) * random.randrange(200, 1 << 22)) % _PSNS
        headers = {"bth": {**packet.bth, "opcode": _NUMBERS[f"RC_RDMA_{name}"], "psn": psn}}
        if "MIDDLE" not in name:
            headers["aeth"] = {"syndrome": 31, "msn": random.getrandbits(24)}
        data = random.randbytes(random.choice([0, 1, 8, 256, 4096]))
        return self._with(replace(packet, headers=headers, payload=data))

    def syndrome(self, packet: RocePacket, frame: bytes) -> bytes | None:
        """Say what no syndrome says."""
        if "aeth" not in packet.headers:
            return None
        code = random.choice([0x40, 0x5F, 0x64, 0x7F, 0x80, 0xE0])
        headers = {**packet.headers, "aeth": {**packet.headers["aeth"], "syndrome": code}}
        if code >= 0x80:  # a reserved bit: believed to be what the others say
            headers["bth"] = {**packet.bth, "p_key": 0x1234}
        return self._with(replace(packet, headers=headers))

    def length(self, packet: RocePacket, frame: bytes) -> bytes | None:
        """Bring less than was asked for."""
        if not packet.payload:
            return None
        return self._with(replace(packet, payload=packet.payload[: -random.randint(1, 9)]))

    def kind(self, packet: RocePacket, frame: bytes) -> bytes | None:
        """Respond to a READ as if it were an atomic operation, or the other way round."""
        if "ATOMIC" in packet.name:
            headers = {"bth": packet.bth, "aeth": packet.headers["aeth"]}
            other = replace(packet, headers=headers, payload=random.randbytes(8))
            return self._with(other, opcode=_NUMBERS["RC_RDMA_READ_RESPONSE_ONLY"])
        if "READ" in packet.name:
            headers = {
                "bth": packet.bth,
                "aeth": packet.headers.get("aeth", {"syndrome": 31, "msn": 0}),
                "atomic_ack_eth": {"original_remote_data": random.getrandbits(64)},
            }
            other = replace(packet, headers=headers, payload=b"")
            return self._with(other, opcode=_NUMBERS["RC_ATOMIC_ACKNOWLEDGE"])
        return None


@cocotb.test()
@cocotb.parametrize(may_delay=[False, True])
async def hostile_replies_change_nothing(dut, may_delay):
    """Answer good exchanges wrongly, too: all is right, and nothing sent twice but for losses."""
    world = await begin(dut)
    forger = Forger(world, may_delay=may_delay)
    left = deque(range(_EXCHANGES))
    pairs = [Pair((16 + 2 * n, 17 + 2 * n)) for n in range(3)]

    def is_over() -> bool:
        return not left or left.pop() < 0

    for task in [cocotb.start_soon(talk(world, pair, is_over)) for pair in pairs]:
        await task
    cocotb.log.info("forged %s", dict(forger.forged))
    assert set(forger.forged) == {make.__name__ for make in forger.kinds}
    if not may_delay:
        again = [one for one, count in Counter(forger.requests).items() if count > 1]
        assert not again, f"sent again: {again}"


def good_entry() -> bytes:
    """Give a work request that is well."""
    length = random.choice([0, 1, 100, 700])
    kind = random.choice([SendKind.WRITE, SendKind.WRITE, SendKind.READ])
    place = BASE + random.randrange(REGION_BYTES // 2)
    pieces = [(KEY, place, length)] if length else []
    if kind is SendKind.WRITE and length > 1:
        parts = random.randint(1, 9)
        pieces = [(KEY, place + 8 * n, length // parts) for n in range(parts)]
    inline = random.randbytes(random.randrange(225))
    is_inline = kind is SendKind.WRITE and random.random() < 0.3
    return encode_entry(
        SendRequest(
            0,
            kind,
            gather=() if is_inline else tuple(pieces),
            inline=inline if is_inline else None,
            remote_address=BASE + REGION_BYTES // 2 + random.randrange(1000),
            remote_key=KEY,
            signalled=random.random() < 0.7,
            fence=random.random() < 0.2,
        )
    )


def spoiled(entry: bytes) -> bytes:
    """Change something of an entry, or all of it."""
    data = bytearray(entry)
    match random.randrange(8):
        case 0:
            data[:] = random.randbytes(len(data))
        case 1:
            data[random.randrange(32)] ^= 1 << random.randrange(8)
        case 2:
            data[random.randrange(len(data))] = random.getrandbits(8)
        case 3:
            data[3] = random.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 255])  # slots
        case 4:
            data[2] = random.choice([0, 1, 2, 16, 17, 64, 224, 225, 255])  # pieces
        case 5:
            data[20:24] = random.choice(
                [bytes(4), b"\xff\xff\xff\xff", b"\0\0\0\x80", random.randbytes(4)]
            )
        case 6:
            data[16:20] = random.randbytes(4)
        case _:
            data[0] = random.randrange(9)
    return bytes(data)


def walked(data: bytes) -> list[tuple[int, bool, SendStatus | None]]:
    """Give first slot, whether it is signalled, and the status if it is none, of each entry."""
    found = []
    slot, count = 0, len(data) // SLOT_BYTES
    while slot < count:
        here = data[slot * SLOT_BYTES :]
        try:
            decode_entry(here)
            wrong = None
        except BadEntryError as error:
            wrong = error.status
        found.append((slot, bool(here[1] & 1), wrong))
        slot += here[3] if 1 <= here[3] <= 5 else 1
    return found


async def add_region(world: World) -> None:
    """Make the region known that vandals use."""
    rights = Rights.WRITE | Rights.READ | Rights.LOCAL_WRITE
    await world.bed.add(
        Region(KEY, _DOMAIN, BASE, REGION_BYTES, rights, ((0, BASE),), REGION_BYTES)
    )


class Vandal:
    """A queue pair whose work queue has anything; the next one is its peer, and asks nothing."""

    def __init__(self, world: World, number: int, told: Counter[str]):
        self.world, self.bed, self.number, self.told = world, world.bed, number, told
        self.receives = (ReceiveQueue(), ReceiveQueue())
        for side in (number, number + 1):
            world.links[side] = Link(seed=0, delay=60)

    async def _set_up(self) -> None:
        psns = [random.randrange(_PSNS) for _ in range(2)]
        numbers = (self.number, self.number + 1)
        for mine, number in enumerate(numbers):
            passive = QueuePair(
                number,
                Service.RC,
                256,
                expected=psns[1 - mine],
                domain=_DOMAIN,
                peer=ADDRESSES[0],
                peer_queue_pair=numbers[1 - mine],
                receives=self.receives[mine],
                rnr_timer=1,
            )
            active = SendQueuePair(
                number,
                Service.RC,
                256,
                psns[mine],
                ADDRESSES[0],
                numbers[1 - mine],
                domain=_DOMAIN,
                reads=4,
                rnr_retries=1,
                retries=1,
            )
            await self.bed.set_up(passive)
            await self.bed.set_up_send(active, timeout=8)

    async def round(self) -> None:
        """Let one work queue end."""
        entries = [good_entry() for _ in range(random.randint(2, 10))]
        bad = random.randrange(len(entries))
        entries[bad] = spoiled(entries[bad])
        last = bytearray(good_entry())
        last[1] |= 1
        data = b"".join([*entries, bytes(last)])
        wanted = walked(data)
        self.check(wanted, await self.ended(data, wanted[-1][0]))

    async def ended(self, data: bytes, last: int) -> list[tuple[int, SendStatus]]:
        """Set up, post slots, and give the completions when that of slot ``last`` is there."""
        bed, number = self.bed, self.number
        await self._set_up()
        bed.post_raw(number, data)
        since = bed.later.cycle
        while not bed.raw[number] or bed.raw[number][-1][0] != last:
            assert bed.later.cycle - since < _LIMIT, f"{bed.raw[number]}, not {last}"
            await bed.wait(32)
        await bed.wait(200)
        return bed.raw[number]

    def check(self, wanted: list, told: list[tuple[int, SendStatus]]) -> None:
        """One completion for each that is signalled or failed; behind the first, all flushed."""
        why = f"{told}, not {wanted}"
        statuses = dict(told)
        assert len(statuses) == len(told), why
        assert [slot for slot, _ in told] == sorted(statuses), why
        assert set(statuses) <= {slot for slot, _, _ in wanted}, why
        has_failed = False
        for slot, is_signalled, wrong in wanted:
            status = statuses.get(slot)
            if has_failed:
                assert status is SendStatus.FLUSHED, why
                continue
            if status is None:
                assert not is_signalled, why
                status = SendStatus.SUCCESS
            assert status is not SendStatus.FLUSHED, why
            has_failed = status is not SendStatus.SUCCESS
            assert has_failed or wrong is None, why
            # Nothing is lost, and everyone replies.
            assert status is not SendStatus.RETRY_EXCEEDED, why
            if wrong is SendStatus.LOCAL_OPERATION:
                assert status is wrong, why
            self.told[f"{wrong.name if wrong else 'good'}: {status.name}"] += 1

    async def overrun(self) -> None:
        """Let a doorbell tell of more than the ring has: an error, and nothing is sent."""
        bed, number = self.bed, self.number
        await self._set_up()
        bed.post_raw(number, good_entry(), producer=random.randrange(257, 1 << 16))
        since = bed.later.cycle
        while not bed.raw[number]:
            assert bed.later.cycle - since < _LIMIT
            await bed.wait(32)
        assert bed.raw[number][0] == (0, SendStatus.LOCAL_OPERATION)
        self.told["overrun"] += 1


@cocotb.test()
async def work_queues_may_have_anything(dut):
    """Spoil work queues of some queue pairs: these end in error, the others do not notice."""
    world = await begin(dut)
    await add_region(world)
    told: Counter[str] = Counter()
    left = deque(range(_ROUNDS))

    async def spoil(vandal: Vandal) -> None:
        while left:
            await (vandal.overrun() if left.pop() % 10 == 0 else vandal.round())

    attacks = []
    for number in range(22, 32, 2):
        vandal = Vandal(world, number, told)
        attacks.append(cocotb.start_soon(spoil(vandal)))
    pairs = [Pair((16 + 2 * n, 17 + 2 * n)) for n in range(3)]
    good = [cocotb.start_soon(talk(world, pair, lambda: not left)) for pair in pairs]
    for task in [*attacks, *good]:
        await task
    cocotb.log.info("ended: %s", dict(told))
    assert told["overrun"]
    assert len(told) > 4
