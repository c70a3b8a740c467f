"""cocotb testbench of hdl.roce.Intake behind hdl.pipeline.Parser."""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.layouts import RequestLayout
from sim.headers import header_bytes
from sim.roce import BadPacketError, parse
from sim.stream import Packet
from tb.stream import PacketSink, PacketSource, StreamSink, chance, reset, start

from .intake_frames import Place, mutated, random_frame, sealed, small_frame, tunnelled
from .parsed_intake import HEADER_COUNT

DATA_BYTES = int(os.environ["DATA_BYTES"])
QUEUE_BEATS = int(os.environ["QUEUE_BEATS"])
#: Ethernet, two tags, IPv6, UDP, BTH, the longest extended header, payload and ICRC.
LARGEST_BYTES = 14 + 8 + 40 + 8 + 12 + 28 + 4096 + 4
LARGEST_BEATS = -(-LARGEST_BYTES // DATA_BYTES)
CUT_BYTES = LARGEST_BEATS * DATA_BYTES
#: Services whose extended headers give fields: RC, UC and UD.
SERVICES = (0, 1, 3)
FIELDS = [(str(name), field.offset, (1 << field.width) - 1) for name, field in RequestLayout()]


def place_of(frame: bytes) -> Place | None:
    """Where the headers are, if it is IP without options; without a look at what they say."""
    ip = 14
    while frame[ip - 2 : ip] in (b"\x81\0", b"\x88\xa8"):
        ip += 4
    versions = {b"\x08\0": (4, 20), b"\x86\xdd": (6, 40)}
    if frame[ip - 2 : ip] not in versions:
        return None
    version, size = versions[frame[ip - 2 : ip]]
    return Place(frame, version, ip, ip + size)


_ATOMIC = {"operand": "swap_or_add_data", "compare": "compare_data"}


def expected(packet: Packet) -> dict[str, int] | None:
    """Fields of the request for ``packet``, None if it is not good."""
    frame = packet.data
    place = place_of(frame)
    if packet.error or len(frame) > CUT_BYTES or place is None:
        return None
    opcode = frame[place.bth] if place.bth < len(frame) else 0
    if opcode >> 5 == 2:
        # RoCEv2 carries no reliable datagrams: as an opcode that does not exist.
        if sealed(place) != place:
            return None
        frame = sealed(place.with_bytes(place.bth, b"\xff")).frame
    try:
        parsed = parse(frame)
    except BadPacketError:
        return None
    if len(parsed.payload) > 4096:
        return None
    # Ethernet, tags, IP, UDP; BTH and what follows it.
    if 3 + (place.ip - 14) // 4 + len(parsed.headers) > HEADER_COUNT:
        return None
    bth = parsed.bth
    extended = parsed.headers if opcode >> 5 in SERVICES else {}
    reth, atomic, deth = (extended.get(name, {}) for name in ("reth", "atomic_eth", "deth"))
    source = parsed.source if place.version == 6 else b"\xff\xff" + parsed.source
    payload_offset = place.bth + sum(map(header_bytes, parsed.headers))
    assert frame[payload_offset:].startswith(parsed.payload)
    assert frame[place.ip :].startswith(parsed.ip_header)
    return {
        "good": 1,
        "opcode": opcode,
        "queue_pair": bth["dest_qp"],
        "psn": bth["psn"],
        "p_key": bth["p_key"],
        "solicited": bth["solicited_event"],
        "ack_request": bth["ack_req"],
        "marked": int(parsed.ecn == 3),
        "v6": int(place.version == 6),
        "source": int.from_bytes(source, "big"),
        "ip_offset": place.ip,
        "payload_offset": payload_offset,
        "payload_bytes": len(parsed.payload),
        "address": (reth or atomic).get("virtual_address", 0),
        "key": (reth or atomic or extended.get("ieth", {})).get("r_key", 0),
        "length": 8 if atomic else reth.get("dma_length", 0),
        **({name: atomic[field] for name, field in _ATOMIC.items()} if atomic else {}),
        "immediate": aeth["syndrome"] << 24 | aeth["msn"]
        if (aeth := extended.get("aeth"))
        else extended.get("immdt", {}).get("immediate_data", 0),
        **({"q_key": deth["q_key"]} if deth else {}),
        "source_queue_pair": deth.get("src_qp", 0),
    }


def whole_or_cut(packet: Packet) -> Packet:
    """Say what must come out of ``packets``."""
    if len(packet.data) > CUT_BYTES:
        return Packet(packet.data[:CUT_BYTES], error=True)
    return packet


class Requests(StreamSink):
    """Receive requests as values of their fields; none comes before its packet's last beat."""

    def __init__(self, dut: Any, **options: Any):
        self.last_taken, self.rst = dut.last_taken, dut.rst
        self.ended = 0
        super().__init__(dut, "requests", **options)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        edge = RisingEdge(self.clk)
        held = 0
        while True:
            await edge
            # The request is there in the cycle after the last beat was taken, or waits already.
            assert not held or self.valid.value
            held = int(self.last_taken.value) & ~int(self.rst.value)
            self.ended += held

    def flush(self) -> None:
        """Forget an offer; only under reset."""
        super().flush()
        self.ended = self.accepted

    def accept(self, value: int) -> None:
        """Take one request."""
        assert self.accepted <= self.ended + 1
        self.received.put_nowait({name: (value >> offset) & mask for name, offset, mask in FIELDS})


class Ports:
    """Drivers and monitors of the device."""

    def __init__(self, dut: Any, *, source_stall=0.0, request_stall=0.0, packet_stall=0.0):
        self.dut = dut
        self.source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
        self.requests = Requests(dut, pause=chance(request_stall))
        self.packets = PacketSink(dut, "packets", DATA_BYTES, pause=chance(packet_stall))

    @property
    def all(self):
        """All of them."""
        return self.source, self.requests, self.packets

    def send(self, packets: list[Packet]) -> None:
        """Queue ``packets``."""
        for packet in packets:
            self.source.send(packet)

    async def receive(self, packets: list[Packet]) -> int:
        """Compare what comes with what must come of ``packets``; return how many were good."""
        good = 0
        for number, packet in enumerate(packets):
            request = await self.requests.received.get()
            came = await self.packets.received.get()
            assert came == whole_or_cut(packet), f"packet {number} changed: {packet.data.hex()}"
            right = expected(packet)
            if right is None:
                assert not request["good"], f"packet {number} is bad: {packet.data.hex()}"
                continue
            good += 1
            assert request.keys() - right.keys() <= {*_ATOMIC, "q_key"}
            assert {name: request[name] for name in right} == right, (
                f"packet {number}: {packet.data.hex()}\n RTL   {request}\n model {right}"
            )
            start = request["payload_offset"]
            payload = came.data[start : start + request["payload_bytes"]]
            assert len(payload) == request["payload_bytes"]
        return good

    async def exchange(self, packets: list[Packet]) -> int:
        """Send and compare."""
        self.send(packets)
        return await self.receive(packets)


async def attach(dut: Any, **stalls: float) -> Ports:
    """Attach drivers and release reset."""
    ports = Ports(dut, **stalls)
    await start(dut)
    return ports


def beat_count(packets: list[Packet]) -> int:
    """Beats of ``packets`` together."""
    return sum(-(-len(packet.data) // DATA_BYTES) for packet in packets)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def recorded_packets(dut):
    """Each frame of the recordings is what the model says."""
    recorded = json.loads(Path(os.environ["RECORDINGS"]).read_text())
    frames = {bytes.fromhex(frame) for frame in recorded}
    ports = await attach(dut)
    good = await ports.exchange([Packet(frame) for frame in sorted(frames)])
    assert good > 800


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_opcode(dut):
    """Each of the 256 opcodes, of both IP versions, with and without tags and payload."""
    ports = await attach(dut, request_stall=0.3)
    packets = [
        Packet(random_frame(opcode, payload_bytes=size, version=version, tags=tags).frame)
        for opcode in range(256)
        for version, tags, size in ((4, 0, random.randrange(80)), (6, random.randrange(3), 0))
    ]
    assert await ports.exchange(packets) == len(packets)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(stalls=[(0.0, 0.0, 0.0), (0.6, 0.0, 0.3), (0.0, 0.9, 0.0), (0.2, 0.5, 0.8)])
async def what_an_enemy_sends(dut, stalls):
    """Broken, cut, damaged and tunnelled packets are what the model says, with any stalls."""
    source, request, packet = stalls
    ports = await attach(dut, source_stall=source, request_stall=request, packet_stall=packet)
    packets = []
    for _ in range(700):
        kind = random.random()
        if kind < 0.02:
            packets.append(Packet(tunnelled(small_frame())))
        elif kind < 0.04:
            packets.append(Packet(small_frame().frame, error=True))
        elif kind < 0.1:
            packets.append(Packet(small_frame().frame + bytes(random.randrange(1, 50))))
        elif kind < 0.12:
            packets.append(Packet(random.randbytes(random.randrange(1, 100))))
        else:
            packets.append(Packet(mutated(small_frame())))
    good = await ports.exchange(packets)
    assert 100 < good < 500


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def the_largest_packets(dut):
    """Payloads of up to 4096 bytes are good; packets that are too long are cut."""
    ports = await attach(dut, packet_stall=0.1)
    packets = []
    for size in (*range(4090, 4101), 4104, 8150, 8200):
        for version, tags in ((4, 0), (6, 2)):
            frame = random_frame(0x0B, payload_bytes=size, version=version, tags=tags)
            packets.append(Packet(frame.frame))
            if size < 4104:
                packets.append(Packet(sealed(frame.flipped(frame.bth + 1, 0x30)).frame))
    assert await ports.exchange(packets) == 28
    packets = []
    for size in (-DATA_BYTES, -1, 0, 1, DATA_BYTES, 5 * DATA_BYTES, 3 * CUT_BYTES):
        frame = small_frame().frame
        packets.append(Packet(frame.ljust(CUT_BYTES + size, b"\xa5")))
        packets += [Packet(small_frame().frame) for _ in range(2)]
    assert await ports.exchange(packets) == len(packets) - 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def what_is_too_long_is_swallowed_at_full_rate(dut):
    """When nobody takes a beat and the queue is full, the rest of a long packet passes."""
    ports = await attach(dut, packet_stall=1.0)
    room = QUEUE_BEATS - LARGEST_BEATS
    packets = [Packet(random.randbytes(16 * DATA_BYTES)) for _ in range(room // 16)]
    packets += [Packet(random.randbytes(DATA_BYTES)) for _ in range(room % 16)]
    packets.append(Packet(random.randbytes(20 * CUT_BYTES)))
    ports.send(packets)
    while not ports.source.idle:
        await RisingEdge(dut.clk)
    # A packet of one beat takes a cycle more.
    assert ports.source.span <= ports.source.accepted + 16
    assert ports.source.accepted == beat_count(packets)
    ports.packets.pause = chance(0)
    await ports.receive(packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def more_tags_than_the_parser_reads(dut):
    """With more headers than the parser finds a packet is not good; its neighbours are."""
    ports = await attach(dut)
    frames = [random_frame(4, payload_bytes=8, tags=tags).frame for tags in (4, 5, 20, 2)]
    assert await ports.exchange([Packet(frame) for frame in frames]) == 2


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def who_waits_for_requests_gets_them(dut):
    """When beats are taken only once their request is there, packets of any size pass."""
    ports = await attach(dut)
    packets = []
    for _ in range(20):
        packets.append(Packet(random_frame(10, payload_bytes=4096, version=6, tags=2).frame))
        packets.append(Packet(small_frame().frame))
        packets.append(Packet(random.randbytes(CUT_BYTES + 100)))
    done: list[Packet] = []
    ports.packets.pause = lambda: ports.requests.accepted <= len(done)
    ports.send(packets)
    for packet in packets:
        await ports.receive([packet])
        done.append(packet)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_full_queue_loses_nothing(dut):
    """While requests, beats or both are refused for long, packets wait; then all come, in order."""
    ports = await attach(dut)
    packets = [
        Packet(random_frame(4, payload_bytes=random.randrange(600)).frame)
        for _ in range(12 * DATA_BYTES)
    ]
    for refused in ([ports.requests], [ports.packets], [ports.requests, ports.packets]):
        for sink in refused:
            sink.pause = lambda: True
        ports.send(packets)
        await ClockCycles(dut.clk, 5000)
        assert not ports.source.idle
        for sink in refused:
            sink.pause = lambda: False
        assert await ports.receive(packets) == len(packets)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_rate(dut):
    """Packets of two beats and more leave no gap; of one beat, there is one every 2 cycles.

    With narrow beats that is so of three beats, and one of one beat takes 3 cycles.
    """
    ports = await attach(dut)
    names = ("ethernet", "ipv4", "udp", "bth", "icrc")
    shortest = sum(map(header_bytes, names))
    long = max(0, DATA_BYTES + 1 - shortest)
    for size in (long, long + 3, 300):
        packets = [Packet(random_frame(4, payload_bytes=size).frame) for _ in range(50)]
        for port in ports.all:
            port.restart()
        ports.requests.ended = 0
        assert await ports.exchange(packets) == len(packets)
        assert ports.packets.span == ports.packets.accepted == beat_count(packets)
    packets = [Packet(small_frame().frame[:DATA_BYTES]) for _ in range(100)]
    ports.requests.restart()
    ports.requests.ended = 0
    await ports.exchange(packets)
    each = 3 if DATA_BYTES == 8 else 2
    assert ports.requests.span == each * (len(packets) - 1) + 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """Reset forgets what was in flight, also what was being swallowed."""
    ports = await attach(dut, request_stall=0.3, packet_stall=0.3)
    for round_number in range(12):
        for _ in range(5):
            ports.source.send(Packet(small_frame().frame))
        if round_number % 2:
            ports.source.send(Packet(random.randbytes(3 * CUT_BYTES)))
        await ClockCycles(dut.clk, random.randrange(20, 300) + round_number % 2 * LARGEST_BEATS)
        await reset(dut, *ports.all)
        await ports.exchange([Packet(small_frame().frame) for _ in range(5)])
