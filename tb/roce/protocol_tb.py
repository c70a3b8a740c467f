"""Tests of Protocol: packets of any kind, each against what the golden model does about it."""

import os
import random
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.context import ContextLayout
from hdl.roce.finish import AsyncEventKind, AsyncEventLayout
from hdl.roce.key_check import KeyLayout
from hdl.roce.layouts import (
    ActionKind,
    ActionLayout,
    EventKind,
    HeadLayout,
    JobKind,
    JobWriteLayout,
    RequestLayout,
)
from hdl.roce.receive_queues import LimitLayout, PostLayout
from sim.headers.infiniband import OPCODES, extensions
from sim.roce import (
    BadPacketError,
    CompletionStatus,
    KeyTable,
    Memory,
    QueuePair,
    QueuePairState,
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
from tb.stream.stream_port import StreamSink, StreamSource, chance, start

PACKETS = int(os.environ["PACKETS"])
CONFIG = RoceConfig(
    data_bytes=int(os.environ["DATA_BYTES"]),
    queue_pairs=16,
    regions=16,
    pages=64,
    receive_queues=16,
    receive_depth=8,
    receive_requests=256,
    scatter_entries=4,
    completion_queues=4,
    resources=8,
)
BATCH = 25
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


class Bed:
    """The hardware beside the model's world."""

    def __init__(self, dut, world: World, *, stall: float, pause: float):
        self.dut = dut
        self.world = world
        self.requests = StreamSource(dut, "requests", pause=chance(pause))
        self.contexts = StreamSource(dut, "contexts")
        self.keys = StreamSource(dut, "keys")
        self.receives = StreamSource(dut, "receives")
        self.limits = StreamSource(dut, "limits")
        self.failures = StreamSource(dut, "failures")
        self.actions = StreamSink(dut, "actions", pause=chance(stall))
        self.async_events = StreamSink(dut, "async_events")
        self.congested = StreamSink(dut, "congested")
        dut.head.value = 0
        dut.tick.value = 0
        dut.cnp_interval.value = 3
        self.jobs: dict[tuple[int, int], int] = {}
        self.heads = [0] * CONFIG.queue_pairs
        self.freed: deque[int] = deque()
        # Where a queue pair's SEND goes on: receive request, bytes so far.
        self.places: dict[int, tuple[int, int]] = {}
        self.time = 0
        # Frame of the packet that is compared; jobs that each queue pair had so far.
        self.frame = b""
        self.order = [0] * CONFIG.queue_pairs
        cocotb.start_soon(self._watch_jobs())
        cocotb.start_soon(self._free_jobs())

    async def _watch_jobs(self) -> None:
        edge = RisingEdge(self.dut.clk)
        layout = JobWriteLayout(CONFIG)
        while True:
            await edge
            value = int(self.dut.job.value)
            if value & 1:
                row = layout.from_bits(value)
                self.jobs[row.queue_pair, row.slot] = row.job

    async def _free_jobs(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            if self.freed:
                index = self.freed.popleft()
                self.heads[index] = (self.heads[index] + 1) % (2 * CONFIG.resources)
                fields: dict[Any, int] = {
                    "valid": 1,
                    "queue_pair": index,
                    "head": self.heads[index],
                }
                self.dut.head.value = HeadLayout(CONFIG).const(fields).as_bits()
            else:
                self.dut.head.value = 0

    async def settle(self) -> None:
        """Wait until the driver's writes have been taken."""
        edge = RisingEdge(self.dut.clk)
        ports = (self.contexts, self.keys, self.receives, self.limits, self.failures)
        while not all(port.idle for port in ports):
            await edge
        for _ in range(40):
            await edge

    def set_queue_pair(self, index: int) -> None:
        """Write what the model has of a queue pair."""
        qp = self.world.model.queue_pairs[0x500 | index]
        peer = qp.peer if len(qp.peer) == 16 else bytes(10) + b"\xff\xff" + qp.peer
        row = {
            "state": 1,
            "service": qp.service.value,
            "number": qp.number,
            "mtu_shift": qp.mtu.bit_length() - 1,
            "p_key": qp.p_key,
            "q_key": qp.q_key,
            "domain": qp.domain,
            "rights": qp.rights.value,
            "peer": int.from_bytes(peer, "big"),
            "receive_queue": receive_queue(qp),
            "completion_queue": index % 4,
            "is_shared": qp.receives.is_shared,
            "rnr_timer": qp.rnr_timer,
            "expected": qp.expected,
        }
        port = self.contexts
        shape = data.StructLayout({"queue_pair": 4, "row": ContextLayout(CONFIG)})
        port.send_value(shape.const({"queue_pair": index, "row": row}).as_bits())

    def set_limit(self, qp: QueuePair) -> None:
        """Write the limit of a queue pair's receive requests."""
        fields: dict[Any, int] = {"queue": receive_queue(qp), "limit": qp.receives.limit}
        self.limits.send_value(LimitLayout(CONFIG).const(fields).as_bits())

    def set_key(self, region: Region) -> None:
        """Write a region; its pages are rows of a table of the testbench."""
        row = {
            "valid": 1,
            "variant": region.key & 255,
            "domain": region.domain,
            "rights": region.rights.value,
            "is_window": region.queue_pair is not None,
            "window_queue_pair": region.queue_pair or 0,
            "base": region.base,
            "length": region.length,
            "offset": region.offset,
            "page_row": 4 * (region.key >> 8),
            "page_shift": 12,
        }
        shape = data.StructLayout({"key": 4, "row": KeyLayout(CONFIG)})
        self.keys.send_value(shape.const({"key": region.key >> 8, "row": row}).as_bits())

    def post(self) -> None:
        """Give the hardware the receive requests that the model has got."""
        for queue, handle, length in self.world.posts:
            fields: dict[Any, int] = {"queue": queue, "handle": handle, "length": length}
            self.receives.send_value(PostLayout(CONFIG).const(fields).as_bits())
        self.world.posts.clear()

    def send(self, expected: Expected) -> None:
        """Give the hardware a packet."""
        fields = request_fields(expected.frame)
        self.requests.send_value(RequestLayout().const(fields).as_bits())

    async def tick(self, count: int) -> None:
        """Let time pass, while nothing is on its way."""
        for _ in range(count):
            self.dut.tick.value = 1
            await RisingEdge(self.dut.clk)
        self.dut.tick.value = 0
        self.time += count

    async def action(self) -> Any:
        """Next action."""
        return ActionLayout(CONFIG).from_bits(await self.actions.received.get())

    def check(self, action: Any, expected: Expected) -> None:
        """Compare an action with what the model did."""
        assert action.has_packet, expected.about
        answers = list(expected.answers)
        notify = bool(answers) and answers[0].bth["opcode"] == 0x81
        if notify:
            answers.pop(0)
        event = action.event
        assert event.notify == notify, expected.about
        self._check_event(event, answers, expected)
        self._check_written(action, expected)
        found = action.completion
        if not expected.completions:
            assert not found.valid, expected.about
            return
        self.check_completion(found, expected.completions[0], expected.about)

    def _check_event(self, event: Any, answers: list[RocePacket], expected: Expected) -> None:
        about = expected.about
        index = event.queue_pair
        if event.kind in (EventKind.JOB.value, EventKind.JOB_AGAIN.value):
            slot = self.heads_seen(index)
            job = self.jobs.pop((index, slot))
            self.freed.append(index)
            self._check_job(job, answers, about)
            return
        if not answers:
            assert event.kind == EventKind.NOTHING.value, about
            return
        (answer,) = answers
        aeth = answer.headers["aeth"]
        kinds = {0: EventKind.ACK, 1: EventKind.RNR_NAK, 3: EventKind.FATAL_NAK}
        kind = kinds[aeth["syndrome"] >> 5]
        if aeth["syndrome"] == 0x60:
            kind = EventKind.SEQUENCE_NAK
        assert EventKind(event.kind) is kind, (about, aeth)
        assert (event.psn, event.msn) == (answer.psn, aeth["msn"]), about
        assert event.syndrome == aeth["syndrome"], about

    def heads_seen(self, index: int) -> int:
        """Slot of the job that is next for a queue pair, and count it."""
        slot = self.order[index] % CONFIG.resources
        self.order[index] += 1
        return slot

    def _check_job(self, job: Any, answers: list[RocePacket], about: str) -> None:
        kind = JobKind(job.kind)
        if kind is JobKind.REPLAY:
            assert all(a.psn == job.psn and a.bth["opcode"] == 0x12 for a in answers), about
            return
        assert job.psn == answers[0].psn, about
        assert job.msn == answers[0].headers["aeth"]["msn"], about
        headers = parse(self.frame).headers
        fields = headers.get("reth") or headers["atomic_eth"]
        if kind is JobKind.READ:
            assert job.operand == fields["dma_length"] == sum(len(a.payload) for a in answers), (
                about
            )
            assert 1 << job.mtu_shift >= max(len(a.payload) for a in answers), about
        else:
            assert answers[0].bth["opcode"] == 0x12, about
            assert job.operand == fields["swap_or_add_data"], about
            add = headers["bth"]["opcode"] == 0x14
            assert kind is (JobKind.FETCH_ADD if add else JobKind.COMPARE_SWAP), about
            assert add or job.compare == fields["compare_data"], about
        if kind is not JobKind.READ or fields["dma_length"]:
            place = job.place
            region = self.world.regions[place.key]
            assert place.key << 8 | place.variant == fields["r_key"] == region.key, about
            address = place.linear - region.offset + region.base
            assert address == fields["virtual_address"], about
            assert (place.page_row, place.page_shift) == (4 * place.key, 12), about

    def _spans(self, place: Any, length: int) -> list[tuple[int, int, int]]:
        region = self.world.regions[place.key]
        assert place.variant == region.key & 255
        assert place.page_row == 4 * place.key and place.page_shift == 12
        address = place.linear - region.offset + region.base
        return list(region.spans(address, length))

    def _check_written(self, action: Any, expected: Expected) -> None:
        about = expected.about
        index, size = action.queue_pair, action.payload_bytes
        payload = expected.payload
        written: list[tuple[int, int, bytes]] = []
        if action.kind == ActionKind.WRITE.value:
            assert size == len(payload), about
            for space, address, length in self._spans(action.place, size) if size else ():
                written.append((space, address, payload[:length]))
                payload = payload[length:]
        elif action.kind == ActionKind.SCATTER.value:
            assert size == len(payload), about
            handle, done = (action.handle, 0) if action.begins else self.places[index]
            assert handle == action.handle, about
            request = self.world.buffers[handle]
            if action.is_datagram:
                header = expected.ip_header
                for space, address, length in request.spans(40 - len(header), len(header)):
                    written.append((space, address, header[:length]))
                done = 40
            for space, address, length in request.spans(done, size):
                written.append((space, address, payload[:length]))
                payload = payload[length:]
            self.places[index] = (handle, done + size)
        wanted = expected.written
        if expected.answers and expected.answers[-1].bth["opcode"] == 0x12:
            wanted = []  # of an atomic operation: the atomic unit's
        assert written == [w for w in wanted if w[2]], about

    def check_completion(self, found: Any, wanted: Any, about: str) -> None:
        """Compare a completion."""
        assert found.valid, about
        statuses = {
            CompletionStatus.SUCCESS: 0,
            CompletionStatus.LOCAL_LENGTH: 1,
            CompletionStatus.REMOTE_INVALID_REQUEST: 2,
            CompletionStatus.REMOTE_ACCESS: 3,
            CompletionStatus.FLUSHED: 4,
        }
        assert found.status == statuses[wanted.status], about
        assert (found.queue_pair, found.handle) == (wanted.queue_pair, wanted.identifier), about
        assert found.queue == wanted.queue_pair % 4, about
        if wanted.status is CompletionStatus.SUCCESS:
            assert found.byte_length == wanted.byte_length, about
            assert found.is_write == wanted.is_write, about
            assert found.has_immediate == (wanted.immediate is not None), about
            assert found.has_invalidated == (wanted.invalidated is not None), about
            value = wanted.immediate if wanted.immediate is not None else wanted.invalidated
            assert value is None or found.value == value, about
            assert found.source_queue_pair == wanted.source_queue_pair, about
            assert found.solicited == wanted.solicited, about


@cocotb.test(timeout_time=60, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.5], pause=[0.0, 0.3])
async def each_packet_has_the_model_s_effect(dut, stall, pause):
    """Actions, jobs and events are what the model does, packet by packet."""
    world = World()
    bed = Bed(dut, world, stall=stall, pause=pause)
    await start(dut)
    for region in world.regions:
        bed.set_key(region)
    for index in range(16):
        bed.set_queue_pair(index)
    await bed.settle()
    for _ in range(16):
        action = await bed.action()
        assert action.revive and action.event.kind == EventKind.RESET.value
    kinds: Counter = Counter()
    for _ in range(PACKETS // 4 // BATCH):
        await one_batch(bed, world, kinds)
    assert sum(kinds.values()) - kinds["NOTHING"] > PACKETS // 20, kinds
    for wanted in ("NOTHING", "ACK", "SEQUENCE_NAK", "RNR_NAK", "FATAL_NAK", "JOB"):
        assert kinds[wanted] > 5, kinds


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pairs=[8, 1])
async def a_packet_every_two_cycles(dut, pairs):
    """Packets of several queue pairs take 2 cycles each, of one 4; with narrow beats all 8."""
    world = World()
    bed = Bed(dut, world, stall=0, pause=0)
    await start(dut)
    region = world.regions[0]
    bed.set_key(region)
    # Reliable ones of the region's protection domain.
    numbers = [n for n in range(16) if n % 4 == 0 and n < 12][:pairs]
    for index in numbers:
        world.model.queue_pairs[0x500 | index].domain = region.domain
        bed.set_queue_pair(index)
    await bed.settle()
    for _ in numbers:
        await bed.action()
    bed.actions.restart()
    count = 120
    for number in range(count):
        qp = world.model.queue_pairs[0x500 | numbers[number % len(numbers)]]
        bth = {"opcode": 0x0A, "dest_qp": qp.number, "psn": qp.expected, "p_key": qp.p_key | 0x8000}
        reth = {"virtual_address": region.base, "r_key": region.key, "dma_length": 64}
        card = CARD if len(qp.peer) == 4 else bytes(15) + b"\xc8"
        packet = RocePacket(card, qp.peer, {"bth": bth, "reth": reth}, bytes(64))
        bed.send(world.put("rate", packet, 0))
    for _ in range(count):
        assert (await bed.action()).kind == ActionKind.WRITE.value
    each = 8 if CONFIG.is_narrow else 2 if len(numbers) > 1 else 4
    assert bed.actions.span <= each * (count - 1) + 1, bed.actions.span


async def one_batch(bed: Bed, world: World, kinds: Counter) -> None:
    """Put some packets in, back to back, among them those of one queue pair."""
    model = world.model
    for qp in list(model.queue_pairs.values()):
        if qp.state is QueuePairState.ERROR and random.random() < 0.9:
            world.add_queue_pair(qp.number & 15)
            bed.set_queue_pair(qp.number & 15)
        for _ in range(random.randrange(3)):
            world.post(qp)
    bed.post()
    for qp in random.sample(list(model.queue_pairs.values()), 4):
        qp.receives.limit = random.randrange(1, CONFIG.receive_depth)
        bed.set_limit(qp)
    await bed.settle()
    await bed.tick(random.randrange(3))
    flushed: Counter = Counter()
    wanted: list[Expected] = []
    congested = len(model.congested)
    told = len(model.events)
    favourite = random.choice(list(model.queue_pairs.values()))
    for _ in range(BATCH):
        everyone = list(model.queue_pairs.values())
        ready = [qp for qp in everyone if qp.state is QueuePairState.READY]
        qp = random.choice(ready if ready and random.random() < 0.95 else everyone)
        if favourite.state is QueuePairState.READY and random.random() < 0.5:
            qp = favourite
        about, packet = world.packet(qp)
        expected = world.put(about, packet, bed.time)
        for completion in expected.completions[:]:
            if completion.status is CompletionStatus.FLUSHED:
                expected.completions.remove(completion)
                flushed[completion.queue_pair, completion.identifier] += 1
        wanted.append(expected)
        bed.send(expected)
    for expected in wanted:
        action = await bed.action()
        while not action.has_packet:
            flush_of(action, flushed)
            action = await bed.action()
        bed.frame = expected.frame
        bed.check(action, expected)
        kinds[EventKind(action.event.kind).name] += 1
    while flushed:
        action = await bed.action()
        assert not action.has_packet
        flush_of(action, flushed)
    await bed.settle()
    while not bed.actions.received.empty():
        flush_of(await bed.action(), flushed)
    await check_told(bed, model, told, congested)


def flush_of(action: Any, flushed: Counter) -> None:
    """Count off what a flush gave back."""
    assert not action.has_packet
    assert action.kind == ActionKind.DROP.value
    if action.revive:
        assert action.event.kind == EventKind.RESET.value
        return
    assert action.event.kind == EventKind.NOTHING.value
    found = action.completion
    if found.valid:
        assert found.status == CompletionStatus.FLUSHED.value
        key = (found.queue_pair, found.handle)
        assert flushed[key], key
        flushed[key] -= 1
        if not flushed[key]:
            del flushed[key]


async def check_told(bed: Bed, model: Responder, told: int, congested: int) -> None:
    """Compare events and congestion notifications of a batch."""
    kinds = {"access": AsyncEventKind.ACCESS, "request": AsyncEventKind.REQUEST}
    wanted: Counter = Counter()
    for kind, number in model.events[told:]:
        if kind == "limit":
            queue = receive_queue(model.queue_pairs[number])
            wanted[AsyncEventKind.LIMIT.value, queue] += 1
        else:
            wanted[kinds[kind].value, number] += 1
    found: Counter = Counter()
    while not bed.async_events.received.empty():
        event = AsyncEventLayout().from_bits(await bed.async_events.received.get())
        found[event.kind, event.number] += 1
    assert found == wanted
    numbers = []
    while not bed.congested.received.empty():
        numbers.append(0x500 | await bed.congested.received.get())
    assert numbers == model.congested[congested:]
