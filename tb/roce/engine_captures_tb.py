"""cocotb testbench of hdl.roce.engine: it sends what Soft-RoCE sent, in every recording.

The work requests of a recording are posted where their first packets are in it, and the answers
come as recorded, each when all packets before it have been sent. ``RECORDINGS`` is a folder of
their frames, in JSON. What differs from Soft-RoCE:

- MigReq is 1, since there is no path migration; Soft-RoCE has 0;
- Ethernet addresses, VLAN, TTL, DSCP, identification and UDP source port are the driver's;
- time is the testbench's own: a tick is a cycle.
"""

import json
import os
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cocotb

from sim.roce import QueuePair, ReceiveQueue, RocePacket, SendKind, SendRequest, Service, parse

from .captured_requests import AskingSide
from .engine_bed import EngineBed
from .recordings import BEHIND_A_NAK, FAILED, NAMES, TIMERS, VERBS, load, recorded, says
from .responder_bed import config_from_environment

_CONFIG = config_from_environment()
#: With RNR times of 82 ms.
_SLOW = {"v_rc_rnr_nak"}
_NAMES = [name for name in NAMES if name not in _SLOW or "LONG" in os.environ]
_PSNS = 1 << 24
_MIG_REQ = 1 << 6
#: Ticks of a timeout: 4 * 2 ** 12; longer than any two answers are apart.
_TIMEOUT = 12
#: Cycles in which something must happen: the longest RNR time of a recording is 80,000 ticks.
_PATIENCE = 200_000
#: Cycles behind which it was time that made the hardware send.
_LONG = 1000
#: Cycles in which nothing more may come, without a timeout.
_QUIET = 2000


def transport(frame: bytes) -> bytes:
    """Give what stands behind the UDP header, without padding and ICRC."""
    packet = parse(frame)
    udp = frame.index(packet.ip_header) + len(packet.ip_header)
    end = udp + int.from_bytes(frame[udp + 4 : udp + 6], "big")
    return frame[udp + 8 : end - 4]


def expected_transport(frame: bytes) -> bytes:
    """Give what the hardware has to send where Soft-RoCE sent ``frame``, from the BTH on."""
    data = bytearray(transport(frame))
    assert not data[1] & _MIG_REQ
    data[1] |= _MIG_REQ
    return bytes(data)


class Replay:
    """One host of a recording, and the hardware in its place."""

    def __init__(self, bed: EngineBed, side: AskingSide):
        self.bed, self.side = bed, side
        self.asked = {number: list(found) for number, found in side.requests.items()}
        self.frames: deque[bytes] = deque()
        self.compared = self.timers = 0
        bed.on_frame = self.frames.append

    async def set_up(self) -> None:
        """Make queue pairs, memory and its region known."""
        bed, side = self.bed, self.side
        bed.set_cards(side.address)
        regions: list[Any] = []
        parts = SimpleNamespace(
            queue_pairs={}, keys=SimpleNamespace(add=regions.append), memory=bed.memory
        )
        side.set_up(parts)  # pyright: ignore[reportArgumentType]
        for region in regions:
            await bed.add(region)
        for number, context in side.contexts.items():
            passive = QueuePair(
                number,
                context.service,
                context.mtu,
                peer=context.peer,
                peer_queue_pair=context.peer_queue_pair,
                receives=ReceiveQueue(),
            )
            if context.service is Service.UD:
                await bed.set_up_datagrams(context.peer)
            await bed.set_up(passive)
            await bed.set_up_send(context, timeout=_TIMEOUT)

    async def frame(self) -> bytes | None:
        """Give the next frame that the hardware sends; None if there is none."""
        since = self.bed.later.cycle
        while not self.frames:
            if self.bed.later.cycle - since > _PATIENCE:
                return None
            await self.bed.wait(8)
        self.timers += self.bed.later.cycle - since > _LONG
        return self.frames.popleft()

    async def run(self) -> None:
        """Give on what came, and compare what is sent."""
        missing = 0
        for frame, packet in self.side.frames:
            if packet is None:
                continue
            if self.side.is_answer(packet):
                self.bed.put(frame)
            if not self.side.is_request(packet):
                continue
            self._post(self.side.queue_pair(packet), packet)
            ours = await self.frame()
            if ours is None:
                missing += 1
                continue
            self._compare(ours, frame, packet)
        # What Soft-RoCE still sent behind a NAK may be sent, or not.
        assert missing <= BEHIND_A_NAK.get(self.side.name, 0)

    def _post(self, number: int, packet: RocePacket) -> None:
        asked = self.side.requests[number]
        while asked and (packet.psn - asked[0][0]) % _PSNS < _PSNS // 2:
            self.bed.post_send(number, asked.pop(0)[1])

    def _compare(self, ours: bytes, theirs: bytes, packet: RocePacket) -> None:
        mine = parse(ours)
        assert mine.source == packet.source
        assert mine.destination == packet.destination
        headers = {**packet.headers, "bth": {**packet.bth, "mig_req": 1}}
        wanted = RocePacket(packet.source, packet.destination, headers, packet.payload)
        assert says(mine) == says(wanted), f"packet {self.compared}"
        assert transport(ours) == expected_transport(theirs)
        self.compared += 1

    async def end(self) -> None:
        """Wait for all completions; nothing more is sent, but where time has to run out."""
        count = sum(len(found) for found in self.asked.values())
        since = self.bed.later.cycle
        while len(self.bed.sends) < count:
            assert self.bed.later.cycle - since < _PATIENCE, f"{self.bed.sends} of {count}"
            await self.bed.wait(64)
            self.bed.poll()
        await self.bed.wait(_QUIET)
        self.bed.poll()
        assert not self.frames
        assert len(self.bed.sends) == count

    def check(self) -> None:
        """Completions are what the program printed; memory what came."""
        side, sends = self.side, self.bed.sends
        for number, found in self.asked.items():
            told = [c for c in sends if c.queue_pair == number]
            assert [c.identifier for c in told] == [r.identifier for _, r in found]
        assert {c.status.name for c in sends} == {FAILED.get(side.name, "SUCCESS")}
        if side.name.startswith(("v_", "f_")):
            ours = [(c.identifier, VERBS[c.status.name], c.byte_length) for c in sends]
            assert ours == recorded(side.about)
        for number, found in self.asked.items():
            for psn, request in found:
                if request.kind.has_response and side.name not in FAILED:
                    self._check_response(number, psn, request)

    def _check_response(self, number: int, psn: int, request: SendRequest) -> None:
        mtu = self.side.contexts[number].mtu
        _, place, length = request.gather[0] if request.gather else (0, 0, 0)
        answers = {
            packet.psn: packet
            for _, packet in self.side.frames
            if packet is not None
            and self.side.is_answer(packet)
            and self.side.queue_pair(packet) == number
            and ("READ" in packet.name or "ATOMIC" in packet.name)
        }
        if request.kind is SendKind.READ:
            psns = [(psn + n) % _PSNS for n in range(-(-length // mtu))]
            came = b"".join(answers[n].payload for n in psns)
        else:
            fields = answers[psn].headers["atomic_ack_eth"]
            came = fields["original_remote_data"].to_bytes(8, "little")
        assert len(came) == length
        assert self.bed.memory.read(0, place, length) == came


@cocotb.test()
@cocotb.parametrize(name=_NAMES)
async def it_sends_what_soft_roce_sent(dut, name):
    """Each host of the recording that asked for something, one after the other."""
    frames = json.loads((Path(os.environ["RECORDINGS"]) / f"{name}.json").read_text())
    sides = load(name, [bytes.fromhex(frame) for frame in frames])
    assert sides
    bed = EngineBed(dut, _CONFIG, queue_shift=10)
    await bed.start()
    dut.tick.value = 1
    timers = 0
    cocotb.log.info("recording %s", name)
    for side in sides:
        bed.sends.clear()
        replay = Replay(bed, side)
        await replay.set_up()
        await replay.run()
        await replay.end()
        replay.check()
        assert replay.compared > 0
        timers += replay.timers
    assert timers == TIMERS.get(name, 0)
