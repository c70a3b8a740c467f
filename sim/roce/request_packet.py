"""Packets of work requests."""

from collections.abc import Mapping, Sequence

from ..headers.infiniband import OPCODES
from .memory import Memory, pieces
from .packet import RocePacket
from .queue_pair import Service
from .send_queue import SendKind, SendQueuePair, Started

__all__ = ["ACK_INTERVAL", "packet_count", "request_packet"]

#: Of a long message, every so many packets one asks to be acknowledged, besides the last one.
ACK_INTERVAL = 16
_PSNS = 1 << 24
_CODES = {name: code for code, name in OPCODES.items()}


def packet_count(length: int, mtu: int) -> int:
    """Packets that ``length`` bytes take: one if there are none."""
    return max(1, -(-length // mtu))


def _name(entry: Started, number: int) -> str:
    request = entry.request
    names = {
        SendKind.READ: "RDMA_READ_REQUEST",
        SendKind.COMPARE_SWAP: "COMPARE_SWAP",
        SendKind.FETCH_ADD: "FETCH_ADD",
    }
    if request.kind in names:
        return names[request.kind]
    first, last = number == 0, number == entry.count - 1
    part = "ONLY" if first and last else "FIRST" if first else "LAST" if last else "MIDDLE"
    name = f"{'RDMA_WRITE' if request.kind is SendKind.WRITE else 'SEND'}_{part}"
    if last and request.immediate is not None:
        name += "_WITH_IMMEDIATE"
    elif last and request.invalidate is not None:
        name += "_WITH_INVALIDATE"
    return name


def request_packet(
    qp: SendQueuePair,
    entry: Started,
    number: int,
    memory: Memory,
    spans: Sequence[tuple[int, int, int]],
    *,
    asks: bool,
) -> RocePacket:
    """Packet ``number`` of a work request, whose data lie in ``spans``.

    A READ asks for what packet ``number`` of its responses begins with, to the end. If it ``asks``
    for it, or is one that always does, the packet is to be acknowledged.

    Specification: IBTA Architecture Specification volume 1, 9.2 to 9.4.
    """
    request = entry.request
    name = _name(entry, number)
    last = number == entry.count - 1 or request.kind.has_response
    regular = last or number % ACK_INTERVAL == ACK_INTERVAL - 1
    datagram = request.datagram
    bth = {
        "opcode": _CODES[f"{qp.service.name}_{name}"],
        "solicited_event": int(last and request.solicited),
        "mig_req": int(qp.migrated),
        "p_key": qp.p_key,
        "dest_qp": datagram.queue_pair if datagram else qp.peer_queue_pair,
        "psn": (entry.first + number) % _PSNS,
        "ack_req": int(asks or (regular and qp.service is Service.RC)),
    }
    headers: dict[str, Mapping[str, int]] = {"bth": bth}
    if datagram:
        # A privileged key is the queue pair's own (10.2.5).
        q_key = qp.q_key if datagram.q_key >> 31 else datagram.q_key
        headers["deth"] = {"q_key": q_key, "src_qp": qp.number}
    done = number * qp.mtu
    reads = request.kind is SendKind.READ
    if reads or (request.kind is SendKind.WRITE and number == 0):
        headers["reth"] = {
            "virtual_address": request.remote_address + done,
            "r_key": request.remote_key,
            "dma_length": request.length - done,
        }
    if request.kind.is_atomic:
        headers["atomic_eth"] = {
            "virtual_address": request.remote_address,
            "r_key": request.remote_key,
            "swap_or_add_data": request.operand,
            "compare_data": request.compare,
        }
    if name.endswith("IMMEDIATE"):
        headers["immdt"] = {"immediate_data": request.immediate or 0}
    if name.endswith("INVALIDATE"):
        headers["ieth"] = {"r_key": request.invalidate or 0}
    payload = b""
    if not request.kind.has_response:
        payload = (
            request.inline[done : done + qp.mtu]
            if request.inline is not None
            else b"".join(memory.read(*piece) for piece in pieces(spans, done, qp.mtu))
        )
    return RocePacket(b"", datagram.peer if datagram else qp.peer, headers, payload)
