"""Exact cycles of the whole engine: what it sends, while as much comes in."""

from collections import Counter
from dataclasses import replace
from typing import Any

import cocotb

from sim.roce import RocePacket, SendKind, SendQueuePair, SendRequest, Service, build, parse
from sim.roce.queue_pair import QueuePair, ReceiveQueue, ReceiveRequest
from tb.stream.rate_tb import Figure, write_rows

from .conversation import KEY, REGION
from .engine_bed import EngineBed
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
_CARD, _PEER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
_BASE = REGION.base
_MTU = 4096
_PAIRS = 8
_ACKNOWLEDGE = 0x11
#: Bytes of a frame before and behind the payload of a WRITE.
_FRAME_BYTES = 14 + 20 + 8 + 12 + 16 + 4
ROWS: list[Figure] = []


def _beats(size: int) -> int:
    return -(-size // _CONFIG.data_bytes)


class Rate:
    """An engine of which each queue pair's peer is the engine itself, or somebody who listens."""

    def __init__(self, dut: Any, *, to_itself: bool):
        self.bed = EngineBed(dut, _CONFIG, latency=(1, 1), queue_shift=12)
        self.to_itself = to_itself
        self.cycles: list[int] = []
        self.frames: list[tuple[int, RocePacket]] = []
        self.seen: Counter[int] = Counter()
        taker = self.bed.taker("o")
        self._accept, taker.accept = taker.accept, self._beat
        self.bed.on_frame = self._frame

    def _beat(self, payload: int) -> None:
        self.cycles.append(self.bed.later.cycle)
        self._accept(payload)

    def _frame(self, frame: bytes) -> None:
        if self.to_itself:
            self.bed.put(frame)
            return
        packet = parse(frame)
        self.frames.append((self.bed.later.cycle, packet))
        number = packet.bth["dest_qp"]
        self.seen[number] += 1
        if self.seen[number] % 8 == 0:
            headers = {
                "bth": {
                    "opcode": _ACKNOWLEDGE,
                    "dest_qp": number,
                    "psn": packet.psn,
                    "p_key": 0xFFFF,
                },
                "aeth": {"syndrome": 31, "msn": self.seen[number]},
            }
            self.bed.put(build(RocePacket(_PEER, _CARD, headers, b"")))

    async def begin(self, pairs: int) -> None:
        """Set queue pairs up: of the engine itself, n and n + 8 are each other's peers."""
        bed = self.bed
        bed.set_cards(_CARD)
        await bed.start()
        await bed.add(REGION)
        numbers = range(2 * _PAIRS) if self.to_itself else range(pairs)
        peer = _CARD if self.to_itself else _PEER
        for n in numbers:
            if self.to_itself and n % _PAIRS >= pairs:
                continue
            theirs = (n + _PAIRS) % (2 * _PAIRS) if self.to_itself else n
            passive = QueuePair(
                n, Service.RC, _MTU, peer=peer, peer_queue_pair=theirs, receives=ReceiveQueue()
            )
            await bed.set_up(passive)
            await bed.set_up_send(SendQueuePair(n, Service.RC, _MTU, 0, peer, theirs, reads=4))
            for number in range(48 if self.to_itself else 0):
                request = ReceiveRequest(number, ((0, _BASE + (1 << 30), 1 << 20),))
                await bed.post(passive.receives, request)
        await bed.wait(300)
        self.cycles.clear()

    def ask(self, number: int, kind: SendKind, length: int, count: int) -> None:
        """Post work requests, of which the last one tells when all have ended."""
        request = SendRequest(
            0,
            kind,
            gather=((KEY, _BASE + number * (1 << 20), length),),
            remote_address=_BASE + (1 << 31) + number * (1 << 20),
            remote_key=KEY,
            signalled=False,
        )
        last = replace(request, signalled=True)
        self.bed.post_send(number, *[request] * (count - 1), last)

    async def until(self, completions: int) -> None:
        """Wait for so many completions."""
        for _ in range(4000):
            await self.bed.wait(50)
            self.bed.poll()
            if len(self.bed.sends) >= completions:
                assert {c.status.name for c in self.bed.sends} == {"SUCCESS"}
                return
        raise AssertionError(f"{len(self.bed.sends)} of {completions} ended")


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(
    kind=[SendKind.WRITE, SendKind.SEND, SendKind.READ],
    pairs=[1, _PAIRS],
)
async def streams_both_ways(dut, kind, pairs):
    """Send 64 KiB messages to itself, so that as much comes in as goes out."""
    rate = Rate(dut, to_itself=True)
    await rate.begin(pairs)
    messages = 32 // pairs
    for n in range(pairs):
        for side in range(2):
            rate.ask(n + side * _PAIRS, kind, 16 * _MTU, messages)
    await rate.until(2 * pairs)
    # From the first quarter to the third: everything is under way.
    beats = rate.cycles[len(rate.cycles) // 4 : 3 * len(rate.cycles) // 4]
    used = (beats[-1] - beats[0]) / (len(beats) - 1)
    title = f"{kind.name}s of 64 KiB both ways, path MTU {_MTU} B, queue pairs: {pairs}"
    ROWS.append((title, "used/needed", round(used, 3), 1.0, "ratio"))
    write_rows(ROWS)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[_PAIRS, 1])
async def small_writes(dut, pairs):
    """Send WRITEs of 64 bytes every 2 cycles, of one queue pair every 4; or as beats leave."""
    rate = Rate(dut, to_itself=False)
    await rate.begin(pairs)
    count = 120
    for n in range(pairs):
        rate.ask(n, SendKind.WRITE, 64, count)
    await rate.until(pairs)
    ends = [cycle for cycle, _ in rate.frames]
    assert len(ends) == pairs * count
    first, last = len(ends) // 4, 3 * len(ends) // 4
    cycles = (ends[last] - ends[first]) / (last - first)
    least = max(_beats(_FRAME_BYTES + 64), 2 if pairs > 1 else 4)
    title = f"WRITEs of 64 B sent, queue pairs: {pairs}"
    ROWS.append((title, "cycles/packet", round(cycles, 3), float(least), "cycles"))
    write_rows(ROWS)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(inline=[False, True])
async def from_doorbell_to_wire(dut, inline):
    """Send 64 bytes: cycles from the doorbell to the first beat on the wire."""
    rate = Rate(dut, to_itself=False)
    await rate.begin(1)
    bed = rate.bed
    data: dict[str, Any] = {"inline": bytes(64)} if inline else {"gather": ((KEY, _BASE, 64),)}
    request = SendRequest(0, SendKind.WRITE, remote_address=_BASE, remote_key=KEY, **data)
    bed.post_send(0, request)
    offer = bed.offer("doorbells")
    while not rate.cycles:
        await bed.wait(1)
    title = f"WRITE of 64 B{', inline' if inline else ''}, doorbell to first beat"
    ROWS.append((title, "latency", rate.cycles[0] - offer.last, None, "cycles"))
    write_rows(ROWS)
