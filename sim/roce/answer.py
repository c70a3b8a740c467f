"""Answers of a responder: acknowledgements, and responses with data."""

from collections.abc import Mapping

from .packet import RocePacket
from .queue_pair import QueuePair

__all__ = [
    "CNP",
    "CREDITS",
    "acknowledge",
    "answer",
    "atomic_answer",
    "congestion_notification",
    "credit_syndrome",
]

#: Opcode of a congestion notification packet.
CNP = 0x81

#: Syndrome of an acknowledgement by the receive requests that are left, the least for each code;
#: 31 says nothing (IBTA volume 1, 9.7.7, end-to-end flow control credits).
CREDITS = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
CREDITS += [1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768]
_NO_CREDITS = 31
_ACKNOWLEDGE, _ATOMIC_ACKNOWLEDGE = 0x11, 0x12


def credit_syndrome(qp: QueuePair) -> int:
    """Syndrome of an acknowledgement: code of the receive requests that are left."""
    if qp.receives.is_shared:
        return _NO_CREDITS
    left = len(qp.receives.requests)
    return max(code for code, least in enumerate(CREDITS) if least <= left)


def answer(
    qp: QueuePair,
    opcode: int,
    psn: int,
    syndrome: int | None,
    payload: bytes = b"",
    *,
    more: Mapping[str, Mapping[str, int]] | None = None,
) -> RocePacket:
    """Packet for the peer of ``qp``; without ``syndrome`` it has no AETH."""
    bth = {"opcode": opcode, "p_key": qp.p_key, "dest_qp": qp.peer_queue_pair, "psn": psn}
    headers: dict[str, Mapping[str, int]] = {"bth": bth}
    if syndrome is not None:
        headers["aeth"] = {"syndrome": syndrome, "msn": qp.msn}
    return RocePacket(b"", qp.peer, {**headers, **(more or {})}, payload)


def acknowledge(qp: QueuePair, psn: int, syndrome: int | None = None) -> RocePacket:
    """ACK, or with another ``syndrome`` a NAK."""
    return answer(qp, _ACKNOWLEDGE, psn, credit_syndrome(qp) if syndrome is None else syndrome)


def atomic_answer(qp: QueuePair, psn: int, original: int) -> RocePacket:
    """Acknowledgement of an atomic operation, with what memory held."""
    more = {"atomic_ack_eth": {"original_remote_data": original}}
    return answer(qp, _ATOMIC_ACKNOWLEDGE, psn, credit_syndrome(qp), more=more)


def congestion_notification(qp: QueuePair, source: bytes) -> RocePacket:
    """CNP to whoever sent a marked packet (Annex A17): BECN is set, 16 bytes are reserved."""
    bth = {"opcode": CNP, "p_key": qp.p_key, "dest_qp": qp.peer_queue_pair, "psn": 0, "becn": 1}
    return RocePacket(b"", source, {"bth": bth, "cnp": {}})
