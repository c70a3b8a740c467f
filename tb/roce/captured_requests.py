"""Recorded traffic of Soft-RoCE as something that a requester can be put into."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.roce import (
    Datagram,
    Region,
    Requester,
    Rights,
    RocePacket,
    SendKind,
    SendQueuePair,
    SendRequest,
    Service,
)

from .captured import pattern, read_packets

__all__ = ["AskingSide", "asking_sides"]

_ANSWERS = range(0x0D, 0x13)
_MANAGEMENT = 1  # queue pair of the connection manager, which is software
_PSNS = 1 << 24
#: Local memory of a program that nobody recorded: one region, each request at a place of its own.
_KEY, _BASE, _BYTES = 0x100, 1 << 40, 1 << 32
#: What the programs set, where it is not 7: `rts` of the recording program.
_RETRIES = {"f_timeout_exceeded": 2}
_RNR_RETRIES = {"v_rc_rnr_exceeded": 2}
_KINDS = {"SEND": SendKind.SEND, "RDMA_WRITE": SendKind.WRITE, "RDMA_READ": SendKind.READ}
_KINDS |= {"COMPARE_SWAP": SendKind.COMPARE_SWAP, "FETCH_ADD": SendKind.FETCH_ADD}


@dataclass
class AskingSide:
    """One host of a recording, as a requester.

    Parameters
    ----------
    name : str
        Of the recording.
    about : dict
        What was recorded about it.
    address : bytes
        IP address of this host.
    frames : list of (bytes, RocePacket or None)
        All frames in order; None for what is no good RoCEv2 packet.

    Attributes
    ----------
    contexts : dict of SendQueuePair
        By number.
    requests : dict of list of (int, SendRequest)
        By queue pair: PSN of the first packet, and what the program must have asked for.
    """

    name: str
    about: Mapping[str, Any]
    address: bytes
    frames: list[tuple[bytes, RocePacket | None]]
    contexts: dict[int, SendQueuePair] = field(default_factory=dict)
    requests: dict[int, list[tuple[int, SendRequest]]] = field(default_factory=dict)

    def __post_init__(self):
        self._place = _BASE
        self._count = 0
        self.data: dict[int, bytes] = {}
        for packet in self.sent():
            number = self.queue_pair(packet)
            if number not in self.contexts:
                self._find_context(number, packet)
        for number, context in self.contexts.items():
            self.requests[number] = list(self._find_requests(number, context))

    @property
    def is_by_hand(self) -> bool:
        """Recorded by the program that takes numbers and memory by hand."""
        return "a" in self.about

    @staticmethod
    def queue_pair(packet: RocePacket) -> int:
        """Queue pair that sent a request: numbers are the same at both ends of each recording."""
        return packet.bth["dest_qp"]

    def sent(self) -> Iterator[RocePacket]:
        """Give each request that this host sent."""
        for _, packet in self.frames:
            if packet is not None and self.is_request(packet):
                yield packet

    def is_request(self, packet: RocePacket) -> bool:
        """Whether this host asked for something with this packet."""
        return (
            packet.source == self.address
            and packet.bth["opcode"] not in _ANSWERS
            and packet.bth["dest_qp"] != _MANAGEMENT
        )

    def is_answer(self, packet: RocePacket) -> bool:
        """Whether this host was answered with this packet."""
        return packet.destination == self.address and packet.bth["opcode"] in _ANSWERS

    def _find_context(self, number: int, packet: RocePacket) -> None:
        biggest = max(len(p.payload) for p in self.sent()) if "path_mtu" not in self.about else 0
        responses = [p for _, p in self.frames if p is not None and "FIRST" in p.name]
        mtu = self.about.get("path_mtu") or max(
            [256, biggest, *(len(p.payload) for p in responses)]
        )
        service = Service(packet.bth["opcode"] >> 5)
        self.contexts[number] = SendQueuePair(
            number=number,
            service=service,
            mtu=4096 if service is Service.UD else 1 << (mtu - 1).bit_length(),
            psn=packet.psn,
            peer=packet.destination,
            peer_queue_pair=number,
            reads=16,
            timeout=1_000_000_000,
            migrated=False,
            retries=_RETRIES.get(self.name, 7),
            rnr_retries=_RNR_RETRIES.get(self.name, 7),
        )

    def _find_requests(
        self, number: int, context: SendQueuePair
    ) -> Iterator[tuple[int, SendRequest]]:
        """Give what the program must have asked for: packets where they were sent first."""
        expected = context.psn
        parts: list[RocePacket] = []
        for packet in self.sent():
            if self.queue_pair(packet) != number or packet.psn != expected:
                continue
            count = 1
            if "READ" in packet.name:
                count = max(1, -(-packet.headers["reth"]["dma_length"] // context.mtu))
            expected = (expected + count) % _PSNS
            parts.append(packet)
            if "FIRST" not in packet.name and "MIDDLE" not in packet.name:
                yield parts[0].psn, self._request(parts)
                parts = []

    def _request(self, parts: list[RocePacket]) -> SendRequest:
        first, last = parts[0], parts[-1]
        name = first.name.split("_", 1)[1]
        kind = next(kind for prefix, kind in _KINDS.items() if name.startswith(prefix))
        payload = b"".join(part.payload for part in parts)
        where = first.headers.get("reth") or first.headers.get("atomic_eth") or {}
        length = len(payload) if not kind.has_response else where.get("dma_length", 8)
        gather = ((_KEY, self._place, length),) if length else ()
        self.data[self._place] = payload
        self._place += -(-length // 4096) * 4096
        deth = first.headers.get("deth")
        self._count += 1
        return SendRequest(
            identifier=self._count,
            kind=kind,
            gather=gather,
            remote_address=where.get("virtual_address", 0),
            remote_key=where.get("r_key", 0),
            immediate=last.headers.get("immdt", {}).get("immediate_data"),
            invalidate=last.headers.get("ieth", {}).get("r_key"),
            operand=where.get("swap_or_add_data", 0),
            compare=where.get("compare_data", 0),
            solicited=bool(last.bth["solicited_event"]),
            datagram=Datagram(first.destination, first.bth["dest_qp"], deth["q_key"])
            if deth
            else None,
        )

    def set_up(self, requester: Requester) -> None:
        """Put queue pairs, memory and its region into a requester."""
        requester.queue_pairs.update(self.contexts)
        pages = tuple((0, _BASE + (n << 30)) for n in range(_BYTES >> 30))
        rights = Rights.LOCAL_WRITE
        requester.keys.add(Region(_KEY, 0, _BASE, _BYTES, rights, pages, 1 << 30))
        for place, payload in self.data.items():
            requester.memory.write(0, place, payload)

    def wanted(self, request: SendRequest) -> bytes:
        """Bytes that a READ or atomic operation of a recording by hand brought."""
        if request.kind is SendKind.READ:
            # What the peer's memory was filled with, from where it was read.
            by_seed = "ops" in self.name
            offset = request.remote_address - self.about["b"]["addr"]
            if by_seed:
                return pattern(32768, 0x55)[offset - 32768 :][: request.length]
            return pattern(5000, 9)[offset:][: request.length]
        raise ValueError(f"not a READ: {request.kind}")


def asking_sides(name: str, about: Mapping[str, Any], frames: Iterable[bytes]) -> list[AskingSide]:
    """Hosts of a recording that asked for something, as requesters."""
    read = read_packets(frames)
    addresses = sorted({packet.source for _, packet in read if packet is not None})
    found = [AskingSide(name, about, address, read) for address in addresses]
    return [side for side in found if side.contexts]
