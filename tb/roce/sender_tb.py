"""cocotb testbench of hdl.roce.sender."""

import random
from dataclasses import replace

import cocotb

from hdl.roce.send_layouts import SendPacketKind
from sim.roce import KeyTable, Memory, Region, Rights, SendKind, SendQueuePair, SendRequest, Service
from sim.roce.packet import RocePacket
from sim.roce.request_packet import packet_count
from sim.roce.requester import Requester

from .sender_bed import CONFIG, Bed, OwnQueuePair

_KEY, _BASE, _PAGE = 0x4200, 1 << 44, 1 << 30
_PSNS = 1 << 24


def wanted(requests: list[SendRequest], psn: int, *, service: Service, mtu: int) -> dict:
    """Packets by PSN that the golden model makes of these, if everything is acknowledged."""
    keys = KeyTable()
    pages = tuple((0, _BASE + n * _PAGE) for n in range(16))
    rights = Rights.WRITE | Rights.READ | Rights.ATOMIC | Rights.LOCAL_WRITE
    keys.add(Region(_KEY, 0, _BASE, 16 * _PAGE, rights, pages, _PAGE))
    model = Requester(Memory(), keys)
    pair = SendQueuePair(0x101, service, mtu, psn, peer=bytes(4), reads=1 << 20)
    model.queue_pairs[1] = pair
    packets = {}
    for request in requests:
        model.post(1, replace(request, fence=False))
        for packet in model.transmit(1):
            packets[packet.psn] = packet
            # A READ goes on behind what was answered.
            for number in range(1, packet_count(request.length, mtu)):
                if request.kind is SendKind.READ:
                    psn_then = (packet.psn + number) % _PSNS
                    packets[psn_then] = _rest(packet, psn_then, number * mtu)
    assert not pair.waiting
    return packets


def _rest(packet: RocePacket, psn: int, done: int) -> RocePacket:
    """READ of what is left behind ``done`` bytes."""
    reth = dict(packet.headers["reth"])
    reth["virtual_address"] += done
    reth["dma_length"] -= done
    return replace(packet, headers={"bth": {**packet.headers["bth"], "psn": psn}, "reth": reth})


def random_request(number: int, service: Service, most: int) -> SendRequest:
    """Make any work request of a service."""
    kinds = [SendKind.SEND, SendKind.WRITE]
    if service is Service.RC:
        kinds += [SendKind.READ, SendKind.FETCH_ADD, SendKind.COMPARE_SWAP]
    kind = random.choice(kinds)
    sends = kind in (SendKind.SEND, SendKind.WRITE)
    length = 8 if kind.is_atomic else random.choice([0, 1, 64, random.randint(0, most)])
    count = random.choice([1, 1, 2, 3, 7, 16]) if sends else 1
    sizes = [length // count] * (count - 1)
    sizes.append(length - sum(sizes))
    inline = sends and length <= 224 and random.random() < 0.3
    has = random.choice(["", "", "immediate", "invalidate"]) if sends else ""
    if has == "invalidate" and (kind is not SendKind.SEND or service is not Service.RC):
        has = ""
    return SendRequest(
        identifier=number,
        kind=kind,
        gather=() if inline else tuple((_KEY, _BASE + random.getrandbits(20), n) for n in sizes),
        inline=random.randbytes(length) if inline else None,
        remote_address=random.getrandbits(60),
        remote_key=random.getrandbits(32),
        immediate=random.getrandbits(32) if has == "immediate" else None,
        invalidate=random.getrandbits(32) if has == "invalidate" else None,
        operand=random.getrandbits(64),
        signalled=random.random() < 0.5,
        fence=random.random() < 0.1,
        solicited=random.random() < 0.2,
    )


def frame_words(packet) -> list[int]:
    """Words behind the BTH of the model's packet, of an atomic operation the first three."""
    headers = dict(packet.headers)
    out = b""
    if "reth" in headers:
        reth = headers["reth"]
        out += reth["virtual_address"].to_bytes(8, "big") + reth["r_key"].to_bytes(4, "big")
        out += reth["dma_length"].to_bytes(4, "big")
    if "atomic_eth" in headers:
        fields = headers["atomic_eth"]
        out += fields["virtual_address"].to_bytes(8, "big") + fields["r_key"].to_bytes(4, "big")
        out += bytes(16)
    if "immdt" in headers:
        out += headers["immdt"]["immediate_data"].to_bytes(4, "big")
    if "ieth" in headers:
        out += headers["ieth"]["r_key"].to_bytes(4, "big")
    return [int.from_bytes(out[n : n + 4], "little") for n in range(0, len(out), 4)]


def compare(packet: dict, model, mtu: int) -> None:
    """Check that a packet is the model's, but for what it asks."""
    frame = packet["frame"]
    words = frame["words"]
    found = [words >> 32 * n & 0xFFFFFFFF for n in range(7)]
    expected = frame_words(model)
    assert found[: len(expected)] == expected and not any(found[len(expected) :]), model.name
    assert frame["word_count"] == len(expected)
    assert frame["opcode"] == model.bth["opcode"]
    assert frame["psn"] == model.psn
    assert frame["solicited"] == model.bth["solicited_event"]
    assert frame["migrated"] == 1, packet
    assert frame["payload_bytes"] == len(model.payload)
    number = (model.psn - packet["first"]) % _PSNS
    if packet["kind"] == SendPacketKind.DATA:
        assert packet["offset"] == number * mtu, "its entry begins there"
    else:
        assert number < _PSNS // 2


async def drive(bed: Bed, pair: OwnQueuePair, requests, model, *, losses: float, mtu: int) -> None:
    """Post, acknowledge, lose; until all is done. Each packet is the model's of its PSN."""
    todo = list(requests)
    sent = bed.sent[pair.row]
    looked = 0
    following = pair.psn
    backs = back = 0
    end = (max((p - pair.psn) % _PSNS for p in model) if model else -1) + 1
    idle = 0
    while True:
        if todo and pair.free >= 6 and random.random() < 0.3:
            bed.post(pair, todo.pop(0))
        for packet in sent[looked:]:
            looked += 1
            idle = 0
            psn = packet["frame"]["psn"]
            compare(packet, model[psn], mtu)
            if psn != following:
                assert backs, f"PSN {psn}, not {following}"
                backs = 0
                assert (following - psn) % _PSNS < 1 << 23
            is_read = packet["kind"] == SendPacketKind.READ
            reth = model[psn].headers.get("reth", {})
            count = packet_count(reth["dma_length"], mtu) if is_read else 1
            following = (psn + count) % _PSNS
        under_way = (following - pair.reply["oldest"]) % _PSNS
        if under_way and under_way < 1 << 23 and random.random() < 0.2 and not backs:
            step = random.randint(1, under_way)
            oldest = (pair.reply["oldest"] + step) % _PSNS
            reads = pair.reply.get("reads", 0)
            for row in pair.outstanding.values():
                ended = (oldest - row["end"]["psn"]) % _PSNS < 1 << 23
                reads = row["end"]["reads"] if ended and _later(row, reads) else reads
            fields = {"oldest": oldest, "reads": reads}
            if random.random() < losses and step < under_way:
                back = (back + 1) % 16
                backs += 1
                fields["back"] = back
            bed.reply(pair, **fields)
        idle += 1
        done = (pair.reply["oldest"] - pair.psn) % _PSNS == end % _PSNS
        if not todo and done and idle > 300:
            return
        assert idle < 6000, f"stuck: {looked} packets, oldest {pair.reply['oldest']:#x}"
        await bed.wait(random.randint(1, 6))


def _later(row, reads: int) -> bool:
    size = 2 * CONFIG.resources
    return 0 < (row["end"]["reads"] - reads) % size <= CONFIG.resources


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.3], losses=[0.0, 0.3])
async def packets_are_the_models(dut, pause, losses):
    """Work requests of several queue pairs, acknowledged late, lost, and sent again."""
    bed = Bed(dut, pause=pause)
    await bed.begin()
    tasks = []
    for row in random.sample(range(CONFIG.queue_pairs), 4):
        mtu = random.choice([256, 512, 1024, 2048, 4096])
        psn = random.choice([5, _PSNS - 20])
        pair = await bed.set_up(row, psn=psn, mtu_shift=mtu.bit_length() - 1)
        requests = [random_request(n, Service.RC, 5 * mtu) for n in range(60)]
        model = wanted(requests, psn, service=Service.RC, mtu=mtu)
        tasks.append(cocotb.start_soon(drive(bed, pair, requests, model, losses=losses, mtu=mtu)))
    for task in tasks:
        await task


def small_write(number: int) -> SendRequest:
    """Make a WRITE of 64 bytes."""
    return SendRequest(
        number, SendKind.WRITE, gather=((_KEY, _BASE, 64),), remote_address=1 << 20, remote_key=7
    )


async def spacing(bed: Bed, rows: int, count: int) -> float:
    """Cycles a packet when ``rows`` queue pairs have ``count`` small WRITEs each to send."""
    pairs = [await bed.set_up(row, ring_shift=8) for row in range(rows)]
    for pair in pairs:
        for number in range(count):
            bed.post(pair, small_write(number), ring=number == count - 1)
    times = []
    seen = 0
    for _ in range(40 * rows * count + 2000):
        await bed.wait(1)
        total = sum(len(bed.sent[pair.row]) for pair in pairs)
        times += [bed.cycle] * (total - seen)
        seen = total
        for pair in pairs:
            sent = bed.sent[pair.row]
            oldest = (pair.psn + len(sent)) % _PSNS
            if len(sent) and pair.reply["oldest"] != oldest and len(sent) % 4 == 0:
                bed.reply(pair, oldest=oldest)
        if total == rows * count:
            break
    assert seen == rows * count
    skip = len(times) // 4
    return (times[-skip] - times[skip]) / (len(times) - 2 * skip)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def small_writes_of_many_follow_every_2_cycles(dut):
    """Of 8 queue pairs, with memory that answers in 20 cycles."""
    bed = Bed(dut, latency=(20, 20))
    await bed.begin()
    assert await spacing(bed, 8, 150) <= (2.0 if CONFIG.data_bytes > 8 else 9.0)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def small_writes_of_one_follow_every_4_cycles(dut):
    """Of one queue pair, with memory that answers at once."""
    bed = Bed(dut, latency=(1, 1))
    await bed.begin()
    assert await spacing(bed, 1, 200) <= (4.0 if CONFIG.data_bytes > 8 else 9.0)
