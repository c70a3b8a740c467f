"""The model of a protocol's surroundings, and packets that mean something to it."""

import json
import os
import random
from dataclasses import dataclass, replace

from hdl.roce.config import RoceConfig
from sim.headers.infiniband import OPCODES, extensions
from sim.roce import (
    BadPacketError,
    KeyTable,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    Rights,
    RocePacket,
    Service,
    build,
    parse,
)

__all__ = ["CARD", "CONFIG", "Expected", "World", "receive_queue", "request_fields"]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
CARD = bytes([192, 0, 2, 200])
PSNS = 1 << 24
#: Numbers of requests within a service.
NUMBERS = {name[3:]: code for code, name in OPCODES.items() if name.startswith("RC_")}
ALL = Rights.WRITE | Rights.READ | Rights.ATOMIC
SHARED_QUEUE = 4


def receive_queue(qp: QueuePair) -> int:
    """Give the number of a queue pair's receive queue."""
    return SHARED_QUEUE if qp.receives.is_shared else qp.number & 15


class RecordingMemory(Memory):
    """Memory that tells what is written."""

    def __init__(self):
        super().__init__()
        self.written: list[tuple[int, int, bytes]] = []

    def write(self, space: int, address: int, data: bytes) -> None:
        """Write, and remember."""
        self.written.append((space, address, bytes(data)))
        super().write(space, address, data)


@dataclass
class Expected:
    """What the model did about a packet."""

    about: str
    frame: bytes
    number: int
    answers: list[RocePacket]
    written: list[tuple[int, int, bytes]]
    completions: list
    payload: bytes
    ip_header: bytes
    is_again: bool


class World:
    """The model, and packets that mean something to it."""

    def __init__(self):
        self.memory = RecordingMemory()
        self.model = Responder(self.memory, KeyTable(), cnp_interval=3)
        self.handles = iter(range(1 << 30))
        self.posts: list[tuple[int, int, int]] = []
        self.buffers: dict[int, ReceiveRequest] = {}
        self.shared = ReceiveQueue(is_shared=True)
        self.regions: list[Region] = []
        for index in range(8):
            pages = tuple((index % 3, 0x10_0000 * (index + 1) + 0x2000 * n) for n in range(4))
            self.regions.append(
                Region(
                    key=index << 8 | random.randrange(256),
                    domain=index % 2,
                    base=random.choice([0, 0x7F00_0000_0123, (1 << 64) - 0x3000]),
                    length=random.choice([0x1800, 0x2FFF]),
                    rights=ALL if index < 5 else random.choice([Rights.READ, Rights.WRITE]),
                    pages=pages,
                    page_bytes=4096,
                    offset=random.choice([0, 0x800, 1]),
                    queue_pair=0x500 | (index - 5) if index == 5 else None,
                )
            )
        for region in self.regions:
            self.model.keys.add(region)
        for number in range(16):
            self.add_queue_pair(number)

    def add_queue_pair(self, index: int) -> None:
        """Set a queue pair up anew."""
        service = [Service.RC, Service.RC, Service.UC, Service.UD][index % 4]
        shared = index in (4, 5, 7)
        number = 0x500 | index
        old = self.model.queue_pairs.get(number)
        receives = self.shared if shared else old.receives if old else ReceiveQueue()
        self.model.queue_pairs[number] = QueuePair(
            number,
            service,
            random.choice([256, 512, 1024]),
            expected=random.choice([0, PSNS - 2, PSNS // 2]),
            peer=bytes([192, 0, 2, index]) if index % 3 else bytes(15) + bytes([index]),
            peer_queue_pair=index + 100,
            domain=index % 2,
            rights=ALL if index < 12 else random.choice([Rights.READ, Rights.WRITE, ALL]),
            receives=receives,
            p_key=random.choice([0xFFFF, 0x8001, 0x7FFF]),
            q_key=0x1234,
            rnr_timer=index,
        )

    def post(self, qp: QueuePair) -> None:
        """Post a receive request for a queue pair, if it has room."""
        if len(qp.receives.requests) >= CONFIG.receive_depth:
            return
        used = {r.identifier for q in self.model.queue_pairs.values() for r in q.receives.requests}
        used |= {q.receive.identifier for q in self.model.queue_pairs.values() if q.receive}
        while (handle := next(self.handles) % CONFIG.receive_requests) in used:
            pass
        size = random.choice([0, 40, 300, 2000, 5000])
        request = ReceiveRequest(handle, ((3, handle << 16, size),))
        self.buffers[handle] = request
        qp.receives.requests.append(request)
        self.posts.append((receive_queue(qp), handle, size))

    def packet(self, qp: QueuePair) -> tuple[str, RocePacket]:
        """Make a packet for a queue pair, most of them right."""
        rc = qp.service is Service.RC
        names = ["ONLY", "FIRST"] if not qp.operation else ["MIDDLE", "LAST"]
        operation = qp.operation or random.choice(["SEND", "RDMA_WRITE"])
        if qp.service is Service.UD:
            operation, names = "SEND", ["ONLY"]
        part = random.choice(names)
        kinds = [f"{operation}_{part}"]
        if part in ("ONLY", "LAST"):
            kinds.append(f"{operation}_{part}_WITH_IMMEDIATE")
            if operation == "SEND" and rc:
                kinds.append(f"SEND_{part}_WITH_INVALIDATE")
        if rc and not qp.operation and random.random() < 0.4:
            kinds = ["RDMA_READ_REQUEST", "COMPARE_SWAP", "FETCH_ADD"]
        name = random.choice(kinds)
        if random.random() < 0.02:
            name = random.choice(list(NUMBERS))
        psn = qp.expected
        if random.random() < 0.15:
            psn = (psn + random.choice([-1, -1, -2, -5, 1, 2, 1 << 22, 1 << 23])) % PSNS
        left = qp.write.length - qp.write.done if qp.write else 0
        size = random.choice([1, 3, 4, 64, 100, qp.mtu])
        if part in ("FIRST", "MIDDLE") and random.random() < 0.95:
            size = qp.mtu
        elif qp.operation == "RDMA_WRITE" and random.random() < 0.9:
            size = min(left, qp.mtu)
        if "READ" in name or "SWAP" in name or "ADD" in name:
            size = 0
        if random.random() < 0.03:
            size = random.choice([0, qp.mtu + 1, 4096])
        region = random.choice(self.regions)
        if random.random() < 0.8:
            right = [r for r in self.regions if r.domain == qp.domain and r.key >> 8 < 5]
            region = random.choice(right)
        length = size if part == "ONLY" else qp.mtu * random.choice([1, 2, 3]) + size
        if "READ" in name:
            length = random.choice([0, 1, qp.mtu, 3 * qp.mtu + 5])
        address = region.base + random.randrange(0, max(1, region.length - length))
        if "SWAP" in name or "ADD" in name:
            address &= ~7
            if address < region.base:
                address += 8
        if random.random() < 0.08:
            address = random.choice(
                [region.base - 1, region.base + region.length, region.base + region.length - 1, 0]
            ) % (1 << 64)
            length = random.choice([length, 1 << 31, (1 << 31) + 1, (1 << 32) - 1])
        key = region.key
        if random.random() < 0.04:
            key ^= random.choice([1, 0x80, 0x100, 0x1000, 1 << 31])
        window = self.regions[5]
        headers = {
            "bth": {
                "opcode": NUMBERS[name] | qp.service.value << 5,
                "dest_qp": qp.number,
                "p_key": qp.p_key | 0x8000,
                "psn": psn,
                "ack_req": int(random.random() < 0.7),
                "solicited_event": random.randrange(2),
            },
            "deth": {"q_key": qp.q_key, "src_qp": random.randrange(PSNS)},
            "reth": {"virtual_address": address, "r_key": key, "dma_length": length},
            "atomic_eth": {
                "virtual_address": address,
                "r_key": key,
                "swap_or_add_data": random.randrange(1 << 64),
                "compare_data": random.choice([0, random.randrange(1 << 64)]),
            },
            "immdt": {"immediate_data": random.randrange(1 << 32)},
            "ieth": {"r_key": window.key if random.random() < 0.7 else key},
        }
        bth = headers["bth"]
        if random.random() < 0.02:
            bth["p_key"] ^= random.choice([1, 0x8000])
        if random.random() < 0.02:
            bth["opcode"] = random.choice([0x81, 0x11, 0x15, 0x1F, 0x2C, 0x66, 0xA4, 0x44])
        if random.random() < 0.02:
            bth["dest_qp"] ^= random.choice([1 << 4, 1 << 23])
        if random.random() < 0.02:
            headers["deth"]["q_key"] ^= 1 << random.randrange(32)
        wanted = ["bth", *(extensions(bth["opcode"]) if bth["opcode"] in OPCODES else ())]
        source = qp.peer if random.random() < 0.98 else bytes([192, 0, 2, 99])
        if len(source) != len(qp.peer):
            source = bytes(16)
        card = CARD if len(source) == 4 else bytes(15) + b"\xc8"
        return name, RocePacket(
            card,
            source,
            {part: headers.get(part, {}) for part in wanted},
            random.randbytes(size),
            ecn=random.choice([0, 0, 0, 3]),
        )

    def put(self, about: str, packet: RocePacket, now: int) -> Expected:
        """Give a packet to the model."""
        self.memory.written.clear()
        before = len(self.model.completions)
        frame = build(replace(packet, source=packet.destination, destination=packet.source))
        target = self.model.queue_pairs.get(packet.bth["dest_qp"])
        ahead = (packet.psn - target.expected) % PSNS if target else 0
        answers = self.model.receive(frame, now=now)
        number = packet.bth["dest_qp"]
        ip = frame[14:34] if len(packet.source) == 4 else frame[14:54]
        self.model.keys.add(self.regions[5])  # its key is the translator's to forget
        return Expected(
            f"{about} {packet.headers}",
            frame,
            number,
            answers,
            list(self.memory.written),
            self.model.completions[before:],
            packet.payload,
            ip,
            ahead >= PSNS // 2,
        )


def request_fields(frame: bytes) -> dict:
    """Fields of a request, as the intake makes them."""
    try:
        packet = parse(frame)
    except BadPacketError:
        return {"good": 0}
    bth, headers = packet.bth, packet.headers
    reth, atomic = headers.get("reth", {}), headers.get("atomic_eth", {})
    where = reth or atomic
    source = packet.source if len(packet.source) == 16 else bytes(10) + b"\xff\xff" + packet.source
    return {
        "good": 1,
        "opcode": bth["opcode"],
        "queue_pair": bth["dest_qp"],
        "psn": packet.psn,
        "p_key": bth["p_key"],
        "solicited": bth["solicited_event"],
        "ack_request": bth["ack_req"],
        "marked": packet.ecn == 3,
        "v6": len(packet.source) == 16,
        "source": int.from_bytes(source, "big"),
        "ip_offset": 14,
        "payload_offset": 99,
        "payload_bytes": len(packet.payload),
        "address": where.get("virtual_address", 0),
        "key": where.get("r_key", headers.get("ieth", {}).get("r_key", 0)),
        "length": reth.get("dma_length", 8 if atomic else 0),
        "operand": atomic.get("swap_or_add_data", 0),
        "compare": atomic.get("compare_data", 0),
        "immediate": headers.get("immdt", {}).get("immediate_data", 0),
        "q_key": headers.get("deth", {}).get("q_key", 0),
        "source_queue_pair": headers.get("deth", {}).get("src_qp", 0),
    }
