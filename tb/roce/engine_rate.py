"""What benches of the whole engine share: a device, who talks to it, and the figures."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sim.roce import RocePacket, SendKind, SendQueuePair, Service, build, parse
from sim.roce.queue_pair import QueuePair, ReceiveQueue, ReceiveRequest
from tb.stream.rate_tb import Figure

from .conversation import REGION
from .engine_bed import EngineBed
from .go_back import CARD, MTU, PAIRS, Tally, write_request
from .responder_bed import config_from_environment

__all__ = ["CONFIG", "ROWS", "Rate", "beats"]

CONFIG = config_from_environment()
#: Figures of this run, of whichever testbench.
ROWS: list[Figure] = []
_PEER = bytes([192, 0, 2, 2])
_BASE = REGION.base
_ACKNOWLEDGE = 0x11
#: Receive requests of each queue pair.
_RECEIVES = 64


def beats(size: int) -> int:
    """Give the beats of a packet of so many bytes."""
    return -(-size // CONFIG.data_bytes)


class Rate:
    """An engine of which each queue pair's peer is the engine itself, or somebody who listens.

    Parameters
    ----------
    dut : handle
    to_itself : bool
        What it sends comes back.
    delay : int
        Cycles from a frame's last beat out to its last beat in; at once if that is shorter.
    is_lost : callable
        Whether a frame never comes back.

    Attributes
    ----------
    cycles : list of int
        Of each beat that was sent.
    frames : list of (int, RocePacket)
        What was sent to who listens, and when its last beat was.
    tally : Tally
        Of what is sent to itself.
    """

    def __init__(
        self,
        dut: Any,
        *,
        to_itself: bool,
        delay: int = 0,
        is_lost: Callable[[bytes], bool] = lambda frame: False,
    ):
        self.bed = EngineBed(dut, CONFIG, latency=(1, 1), queue_shift=12)
        self.to_itself = to_itself
        self.delay, self.is_lost = delay, is_lost
        self.cycles: list[int] = []
        self.frames: list[tuple[int, RocePacket]] = []
        self.tally = Tally(CONFIG.data_bytes)
        self._seen: Counter[int] = Counter()
        taker = self.bed.taker("o")
        self._accept, taker.accept = taker.accept, self._beat
        self.bed.on_frame = self._frame

    def _beat(self, payload: int) -> None:
        self.cycles.append(self.bed.later.cycle)
        self._accept(payload)

    def _frame(self, frame: bytes) -> None:
        if self.to_itself:
            self._return(frame)
            return
        packet = parse(frame)
        self.frames.append((self.bed.later.cycle, packet))
        number = packet.bth["dest_qp"]
        self._seen[number] += 1
        if self._seen[number] % 8 == 0:
            headers = {
                "bth": {
                    "opcode": _ACKNOWLEDGE,
                    "dest_qp": number,
                    "psn": packet.psn,
                    "p_key": 0xFFFF,
                },
                "aeth": {"syndrome": 31, "msn": self._seen[number]},
            }
            self.bed.put(build(RocePacket(_PEER, CARD, headers, b"")))

    def _return(self, frame: bytes) -> None:
        self.tally.count(frame, self.bed.later.cycle)
        if self.is_lost(frame):
            return
        wait = self.delay - beats(len(frame))
        if wait > 0:
            self.bed.later.at(self.bed.later.cycle + wait, lambda: self.bed.put(frame))
        else:
            self.bed.put(frame)

    async def begin(self, pairs: int) -> None:
        """Set queue pairs up: of the engine itself, n and n + 8 are each other's peers."""
        bed = self.bed
        bed.set_cards(CARD)
        await bed.start()
        await bed.add(REGION)
        numbers = range(2 * PAIRS) if self.to_itself else range(pairs)
        peer = CARD if self.to_itself else _PEER
        for n in numbers:
            if self.to_itself and n % PAIRS >= pairs:
                continue
            theirs = (n + PAIRS) % (2 * PAIRS) if self.to_itself else n
            passive = QueuePair(
                n, Service.RC, MTU, peer=peer, peer_queue_pair=theirs, receives=ReceiveQueue()
            )
            await bed.set_up(passive)
            await bed.set_up_send(SendQueuePair(n, Service.RC, MTU, 0, peer, theirs, reads=4))
            for number in range(_RECEIVES if self.to_itself else 0):
                request = ReceiveRequest(number, ((0, _BASE + (1 << 30), 1 << 20),))
                await bed.post(passive.receives, request)
        await bed.wait(300)
        self.cycles.clear()

    def ask(self, number: int, kind: SendKind, length: int, count: int) -> None:
        """Post work requests, of which the last one tells when all have ended."""
        request = replace(write_request(number, length), kind=kind)
        last = replace(request, signalled=True)
        self.bed.post_send(number, *[request] * (count - 1), last)

    async def until(self, completions: int, *, limit: int = 200_000) -> None:
        """Wait for so many completions, for ``limit`` cycles at most."""
        for _ in range(limit // 50):
            await self.bed.wait(50)
            self.bed.poll()
            if len(self.bed.sends) >= completions:
                assert {c.status.name for c in self.bed.sends} == {"SUCCESS"}
                return
        raise AssertionError(f"{len(self.bed.sends)} of {completions} ended")
