"""cocotb testbench that is no test: the engine's simulator does what a socket asks for.

The clock stands still while nothing is asked for.
"""

import os
import socket
from dataclasses import dataclass, field
from typing import Any

import cocotb

from sim.peer.card import Connection
from sim.peer.guest import CARD, GUEST
from sim.roce import (
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Rights,
    SendQueuePair,
    SendRequest,
    Service,
)
from tb.roce.engine_bed import EngineBed
from tb.roce.responder_bed import config_from_environment

from .card_words import PAGE_BYTES, Line, Progress

_SPACE = 0
_QUEUE_SHIFT = 10
#: How often one looks whether all is over.
_LOOK_CYCLES = 8


class _CardBed(EngineBed):
    """Frames as Linux takes them, and receive queues that are used again."""

    has_vlans = False

    def __init__(self, dut: Any):
        config = config_from_environment()
        own, peer = (GUEST, CARD) if os.environ.get("CARD_IS_GUEST") else (CARD, GUEST)
        self.own_mac, self.peer_mac = (int.from_bytes(host.mac, "big") for host in (own, peer))
        super().__init__(
            dut,
            config,
            queue_shift=_QUEUE_SHIFT,
            card_v4=own.address_4,
            card_v6=own.address_6,
        )
        self.free_queues = [ReceiveQueue() for _ in range(config.receive_queues)]
        for queue in self.free_queues:
            self.receive_queue(queue)


@dataclass
class _Receives:
    """A receive queue, and what was posted to it that has not ended."""

    queue: ReceiveQueue
    left: int = 0


@dataclass
class _Served:
    """What is done for the other end: one method for each thing that it may ask for."""

    bed: _CardBed
    receives: dict[int, _Receives] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    async def register(self, key: int, address: int, length: int, rights: Rights) -> None:
        """Make a region known."""
        first = address - address % PAGE_BYTES
        await self.bed.add(
            Region(
                key,
                0,
                address,
                length,
                rights | Rights.LOCAL_WRITE,
                tuple((_SPACE, page) for page in range(first, address + length, PAGE_BYTES)),
                PAGE_BYTES,
                address - first,
            )
        )

    async def connect(self, number: int, connection: Connection, timeout: int) -> None:
        """Make both sides of a queue pair; ``timeout`` is the code of its timeout."""
        queue = self.bed.free_queues.pop()
        self.receives[number] = _Receives(queue)
        reads = min(connection.reads, self.bed.config.resources)
        # A queue pair of datagrams has no peer: each of them says where it goes.
        is_datagram = connection.service is Service.UD
        peer = bytes(len(connection.peer)) if is_datagram else connection.peer
        peer_queue_pair = 0 if is_datagram else connection.peer_queue_pair
        await self.bed.set_up(
            QueuePair(
                number,
                connection.service,
                connection.mtu,
                expected=connection.expected,
                peer=peer,
                peer_queue_pair=peer_queue_pair,
                rights=connection.rights,
                receives=queue,
                q_key=connection.q_key,
                resources=reads,
                rnr_timer=connection.rnr_timer,
            )
        )
        await self.bed.set_up_send(
            SendQueuePair(
                number,
                connection.service,
                connection.mtu,
                psn=connection.psn,
                peer=peer,
                peer_queue_pair=peer_queue_pair,
                q_key=connection.q_key,
                reads=reads,
                timeout=timeout,
                retries=connection.retries,
                rnr_retries=connection.rnr_retries,
            )
        )

    async def disconnect(self, number: int) -> None:
        """Forget a queue pair."""
        await self.bed.tear_down(number)
        await self.bed.settle()
        self._poll()
        mine = self.progress
        mine.sent = [one for one in mine.sent if one.queue_pair != number]
        mine.received = [one for one in mine.received if one.queue_pair != number]
        del self.bed.work[number]
        receives = self.receives.pop(number)
        # What was posted in vain is in the queue still: nobody else may have it.
        if not receives.left:
            self.bed.free_queues.append(receives.queue)

    async def post(self, number: int, request: SendRequest) -> None:
        """Post a work request."""
        if request.datagram is not None:
            await self.bed.set_up_datagrams(request.datagram.peer)
        self.bed.post_send(number, request)

    async def post_receive(self, number: int, identifier: int, address: int, length: int) -> None:
        """Post a receive request."""
        receives = self.receives[number]
        receives.left += 1
        buffers = ((_SPACE, address, length),) if length else ()
        await self.bed.post(receives.queue, ReceiveRequest(identifier, buffers))

    async def read(self, address: int, length: int) -> bytes:
        """Give what memory holds."""
        return self.bed.memory.read(_SPACE, address, length)

    async def write(self, address: int, data: bytes) -> None:
        """Put ``data`` into memory."""
        self.bed.memory.write(_SPACE, address, data)

    async def advance(self, frames: list[bytes], cycles: int, ticks: int) -> Progress:
        """Go on until nothing happens any more, or for ``cycles``; but for ``ticks`` in any case.

        ``frames`` come now.
        """
        bed = self.bed
        for frame in frames:
            bed.put(frame)
        end = bed.later.cycle + cycles
        for _ in range(ticks):
            bed.dut.tick.value = 1
            await bed.wait(1)
            bed.dut.tick.value = 0
            await bed.wait(cycles // ticks - 1)
        while bed.later.cycle < end and not bed.is_quiet:
            await bed.wait(_LOOK_CYCLES)
        self._poll()
        mine, self.progress = self.progress, Progress()
        mine.is_quiet, mine.cycles = bed.is_quiet, bed.later.cycle
        mine.is_asked = any(queue.posted or queue.waiting for queue in bed.work.values())
        return mine

    def keep(self, frame: bytes) -> None:
        """Keep a frame that left."""
        self.progress.frames.append(frame)

    def _poll(self) -> None:
        """Take completions."""
        self.bed.poll()
        self.progress.sent += self.bed.sends
        self.bed.sends.clear()
        for queue in self.bed.completions.values():
            self.progress.received += queue
            for one in queue:
                if one.queue_pair in self.receives:
                    self.receives[one.queue_pair].left -= 1
            queue.clear()


@cocotb.test()
async def serve(dut):
    """Do what is asked for, until who asks hangs up."""
    bed = _CardBed(dut)
    served = _Served(bed)
    bed.on_frame = served.keep
    await bed.start()
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(os.environ["CARD_SOCKET"])
        line = Line(one)
        while True:
            try:
                name, words = line.hear()
            except EOFError:
                return
            line.tell(await getattr(served, name)(*words))
