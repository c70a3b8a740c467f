"""Golden model of both sides of RoCEv2 over one memory: frames in, frames out."""

from collections.abc import Iterator
from dataclasses import replace

from .memory import KeyTable, Memory
from .packet import BadPacketError, RocePacket, build, parse
from .queue_pair import CompletionStatus, QueuePair, QueuePairState, Service
from .requester import Requester
from .responder import Responder
from .send_queue import SendQueuePair, SendState

__all__ = ["Engine"]

_ANSWERS = range(0x0D, 0x13)


class Engine:
    """A card: what it asks for and what it is asked for; an error of a queue pair ends both.

    Specification: IBTA Architecture Specification volume 1, 10.3 (states), 9.7.

    Parameters
    ----------
    address, *others : bytes
        Own IP addresses, of each version one at most; a packet leaves from that of its
        destination's version.

    Attributes
    ----------
    memory, keys, requester, responder
        What there is; look at these.
    """

    def __init__(self, address: bytes, *others: bytes):
        self.address = address
        self._addresses = {len(own): own for own in (address, *others)}
        self.memory = Memory()
        self.keys = KeyTable()
        self.requester = Requester(self.memory, self.keys)
        self.responder = Responder(self.memory, self.keys)

    def add(self, passive: QueuePair, active: SendQueuePair) -> None:
        """Make a queue pair known: both halves of it."""
        self.responder.queue_pairs[passive.number] = passive
        self.requester.queue_pairs[active.number] = active

    def receive(self, frame: bytes, now: int) -> Iterator[bytes]:
        """Take a frame; give what answers it at once."""
        try:
            packet = parse(frame)
        except BadPacketError:
            return
        if packet.bth["opcode"] & 0x1F in _ANSWERS:
            self.requester.receive(frame, now)
        else:
            for answer in self.responder.receive(frame, now=now):
                yield self._frame(answer)
        self._join()

    def transmit(self, now: int) -> Iterator[bytes]:
        """Give what may be sent at ``now``, of all queue pairs."""
        for number in self.requester.queue_pairs:
            self.requester.expire(number, now)
            for packet in self.requester.transmit(number, now):
                yield self._frame(packet)
        self._join()

    def deadline(self) -> int | None:
        """When :meth:`transmit` has something to do that nothing else brings."""
        times = (self.requester.deadline(number) for number in self.requester.queue_pairs)
        return min((time for time in times if time is not None), default=None)

    def _frame(self, packet: RocePacket) -> bytes:
        return build(replace(packet, source=self._addresses[len(packet.destination)]))

    def _join(self) -> None:
        """Move a queue pair to error of which one half is, as far as its service has it."""
        for number, active in self.requester.queue_pairs.items():
            passive = self.responder.queue_pairs[number]
            # Of the other services, the receive half goes on (10.3.1, send queue error).
            is_reliable = active.service is Service.RC
            failed = active.state is SendState.ERROR and is_reliable
            if failed and passive.state is QueuePairState.READY:
                self.responder.fail(passive, CompletionStatus.FLUSHED)
            elif passive.state is QueuePairState.ERROR and active.state is SendState.READY:
                self.requester.fail(active)
