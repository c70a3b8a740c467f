"""Recorded traffic of Soft-RoCE as something that a responder can be put into."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.roce import (
    BadPacketError,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    Rights,
    RocePacket,
    Service,
    parse,
)

__all__ = ["Side", "pattern", "read_packets", "sides"]

_ANSWERS = range(0x0D, 0x13)
_REGION_BYTES = 1 << 16
#: Where receive buffers of programs lie whose own addresses nobody recorded.
_SCRATCH = 1 << 50
_SCRATCH_BYTES = 1 << 16
_MANAGEMENT = 1  # queue pair of the connection manager, which is software
#: Access flags of libibverbs, where a scenario has fewer than all.
_FLAGS = {"v_rc_nak_no_write_access": 0x5, "v_rc_nak_no_atomic_access": 0x7}
_RNR_TIMERS = {"v_rc_rnr_nak": 26, "v_rc_rnr_exceeded": 14}
_Q_KEY = 0x11111111


def pattern(length: int, seed: int) -> bytes:
    """Make what the recording program fills memory with."""
    return bytes((seed + 7 * n + (n >> 8)) & 0xFF for n in range(length))


def _rights(flags: int) -> Rights:
    bits = {2: Rights.WRITE, 4: Rights.READ, 8: Rights.ATOMIC}
    rights = Rights(0)
    for bit, right in bits.items():
        if flags & bit:
            rights |= right
    return rights


@dataclass
class Side:
    """One host of a recording, as a responder.

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
    """

    name: str
    about: Mapping[str, Any]
    address: bytes
    frames: list[tuple[bytes, RocePacket | None]]
    contexts: dict[int, QueuePair] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)

    def __post_init__(self):
        self._find_queue_pairs()
        self._find_regions()

    @property
    def is_by_hand(self) -> bool:
        """Recorded by the program that takes numbers and memory by hand."""
        return "a" in self.about

    @property
    def mine(self) -> Mapping[str, int]:
        """What is known of this host's memory: that of ``b`` in recordings by hand."""
        return self.about["b"]

    def requests(self) -> Iterator[tuple[int, bytes, RocePacket | None]]:
        """Give number, frame and packet, if it is one, of what this host was asked."""
        for number, (frame, packet) in enumerate(self.frames):
            if packet is None:
                if b"\x12\xb7" in frame[34:38] and self.address in frame[26:54]:
                    yield number, frame, None
            elif packet.destination == self.address and self._is_request(packet):
                yield number, frame, packet

    def answers(self, queue_pair: int) -> list[RocePacket]:
        """List what this host answered to a queue pair of the other host."""
        return [
            packet
            for _, packet in self.frames
            if packet is not None
            and packet.source == self.address
            and packet.bth["opcode"] in _ANSWERS
            and packet.bth["dest_qp"] == queue_pair
        ]

    def _is_request(self, packet: RocePacket) -> bool:
        return packet.bth["opcode"] not in _ANSWERS and packet.bth["dest_qp"] != _MANAGEMENT

    def _mtu(self) -> int:
        if "path_mtu" in self.about:
            return self.about["path_mtu"] if self.about["kind"] != "ud" else 4096
        found = re.search(r"-m (\d+)", self.about["client"])
        return int(found.group(1)) if found else 4096 if "ud" in self.name.lower() else 1024

    def _find_queue_pairs(self) -> None:
        for _, _, packet in self.requests():
            if packet is None or packet.bth["dest_qp"] in self.contexts:
                continue
            number = packet.bth["dest_qp"]
            # Numbers are the same at both ends of each recording.
            self.contexts[number] = QueuePair(
                number=number,
                service=Service(packet.bth["opcode"] >> 5),
                mtu=self._mtu(),
                expected=packet.psn,
                peer=packet.source,
                peer_queue_pair=number,
                q_key=_Q_KEY,
                rights=_rights(_FLAGS.get(self.name, 0x1F)),
                rnr_timer=_RNR_TIMERS.get(self.name, 12),
                receives=ReceiveQueue(),
            )

    def _find_regions(self) -> None:
        rights = _rights(_FLAGS.get(self.name, 0x1F))
        if self.is_by_hand:
            self._add_region(self.mine["rkey"], self.mine["addr"], _REGION_BYTES, rights)
            return
        bounds: dict[int, list[tuple[int, int]]] = {}
        for _, _, packet in self.requests():
            for name in ("reth", "atomic_eth"):
                if packet is not None and name in packet.headers:
                    fields = packet.headers[name]
                    size = fields.get("dma_length", 8)
                    where = (fields["virtual_address"], fields["virtual_address"] + size)
                    bounds.setdefault(fields["r_key"], []).append(where)
        for key, places in bounds.items():
            first = min(begin for begin, _ in places)
            self._add_region(key, first, max(end for _, end in places) - first, rights)

    def _add_region(self, key: int, base: int, length: int, rights: Rights) -> None:
        first = base // 4096
        pages = tuple((0, 4096 * n) for n in range(first, -(-(base + length) // 4096)))
        self.regions.append(Region(key, 0, base, length, rights, pages, 4096, base % 4096))

    def set_up(self, responder: Responder) -> None:
        """Put queue pairs, regions and, if it is known, what memory held into a responder."""
        for context in self.contexts.values():
            responder.queue_pairs[context.number] = context
        for region in self.regions:
            responder.keys.add(region)
        if self.is_by_hand:
            self._fill_by_hand(responder)

    def _fill_by_hand(self, responder: Responder) -> None:
        base = self.mine["addr"]
        if "all_ops" in self.name or "uc_ops" in self.name:
            responder.memory.write(0, base + 32768, pattern(32768, 0x55))
        elif self.name == "v_rc_atomics":
            responder.memory.write(0, base, (0x1122334455667788).to_bytes(8, "little"))
        elif "read" in self.name:
            responder.memory.write(0, base, pattern(5000, 9))

    def remember(self, responder: Responder, packet: RocePacket) -> None:
        """Where nobody recorded what memory held, let it hold what this request was answered.

        What programs wrote there themselves between two requests is not known otherwise.
        """
        fields = packet.headers.get("reth") or packet.headers.get("atomic_eth")
        if self.is_by_hand or fields is None or "WRITE" in packet.name:
            return
        place = fields["virtual_address"]
        count = max(1, -(-fields.get("dma_length", 8) // self._mtu()))
        for answer in self.answers(packet.bth["dest_qp"]):
            if (answer.psn - packet.psn) % (1 << 24) < count:
                data = answer.payload
                if "atomic_ack_eth" in answer.headers:
                    value = answer.headers["atomic_ack_eth"]["original_remote_data"]
                    data = value.to_bytes(8, "little")
                responder.memory.write(0, place, data)
                place += len(data)

    def receive_requests(self) -> Iterable[tuple[int, ReceiveRequest]]:
        """Frame before which each receive request was posted, and the request."""
        if not self.is_by_hand:
            for number in range(600):
                where = (0, _SCRATCH + number * _SCRATCH_BYTES, _SCRATCH_BYTES)
                yield 0, ReceiveRequest(number, (where,))
            return
        base = self.mine["addr"]
        if self.name == "v_rc_rnr_nak":
            firsts = [n for n, _, p in self.requests() if p is not None and "FIRST" in p.name]
            yield firsts[-1], ReceiveRequest(1, ((0, base, 4096),))
        elif self.name == "v_rc_nak_recv_too_small":
            yield 0, ReceiveRequest(1, ((0, base, 64),))
        for op in self.about["ops"]:
            if not isinstance(op, dict):
                continue
            for line in op.get("recv_wc", ()):
                identifier = int(line.split()[2], 0)
                size = 0 if op["op"] == "write_imm" else 32768
                size = 8192 if self.about["kind"] == "ud" else size
                yield 0, ReceiveRequest(identifier, ((0, base, size),))


def read_packets(frames: Iterable[bytes]) -> list[tuple[bytes, RocePacket | None]]:
    """List frames and what they say; None for what is no good RoCEv2 packet."""
    read: list[tuple[bytes, RocePacket | None]] = []
    for frame in frames:
        try:
            read.append((frame, parse(frame)))
        except BadPacketError:
            read.append((frame, None))
    return read


def sides(name: str, about: Mapping[str, Any], frames: Iterable[bytes]) -> list[Side]:
    """Hosts of a recording that somebody asked something, as responders."""
    read = read_packets(frames)
    addresses = sorted({packet.destination for _, packet in read if packet is not None})
    found = [Side(name, about, address, read) for address in addresses]
    return [side for side in found if side.contexts]
