"""Recordings of Soft-RoCE that a requester is put into, and what is known of how each ended."""

import json
from collections.abc import Iterable
from pathlib import Path

from sim.roce import RocePacket

from .captured_requests import AskingSide, asking_sides

__all__ = [
    "BEHIND_A_NAK",
    "FAILED",
    "NAMES",
    "TIMERS",
    "VERBS",
    "load",
    "path_of",
    "recorded",
    "says",
]

_CAPTURES = Path(__file__).parents[2] / "data" / "captures"
NAMES = sorted(path.stem for path in _CAPTURES.glob("*.json"))
#: Packets that Soft-RoCE still sent behind a NAK that ends the queue pair.
BEHIND_A_NAK = {"v_rc_nak_bad_rkey_write": 2}
#: How often it was time that made the requester send again what Soft-RoCE sent again.
TIMERS = {
    "f_bad_icrc_write_only": 1,
    "f_drop_atomic_ack": 1,
    "f_drop_read_request": 1,
    "f_drop_read_resp_last": 1,
    "f_drop_write_ack": 1,
    "f_drop_write_last": 1,
    "f_timeout_exceeded": 2,
    "rc_pingpong_m2048_s1": 2,
    "rc_pingpong_m256_s1000": 1,
    "v_rc_rnr_exceeded": 2,
    "v_rc_rnr_nak": 3,
}
FAILED = {
    "f_timeout_exceeded": "RETRY_EXCEEDED",
    "v_rc_nak_bad_rkey_read": "REMOTE_ACCESS",
    "v_rc_nak_bad_rkey_write": "REMOTE_ACCESS",
    "v_rc_nak_read_past_end": "REMOTE_ACCESS",
    "v_rc_nak_no_atomic_access": "REMOTE_INVALID_REQUEST",
    "v_rc_nak_no_write_access": "REMOTE_INVALID_REQUEST",
    "v_rc_nak_recv_too_small": "REMOTE_OPERATION",
    "v_rc_rnr_exceeded": "RNR_RETRY_EXCEEDED",
}
#: Status that libibverbs gave, by ours.
VERBS = {
    "SUCCESS": 0,
    "REMOTE_INVALID_REQUEST": 9,
    "REMOTE_ACCESS": 10,
    "REMOTE_OPERATION": 11,
    "RETRY_EXCEEDED": 12,
    "RNR_RETRY_EXCEEDED": 13,
}


def path_of(name: str) -> Path:
    """Give the file of a recording; where there are faults on the way, the requester's."""
    path = _CAPTURES / f"{name}.pcap"
    return path if path.exists() else _CAPTURES / f"{name}.a.pcap"


def load(name: str, frames: Iterable[bytes]) -> list[AskingSide]:
    """Hosts of a recording, whose ``frames`` the file at :func:`path_of` has."""
    about = json.loads((_CAPTURES / f"{name}.json").read_text())
    return asking_sides(name, about, frames)


def says(packet: RocePacket) -> tuple:
    """Give the fields of a packet, without what only a frame has, and its payload."""
    headers = {name: dict(fields) for name, fields in packet.headers.items()}
    headers["bth"].pop("pad_count", None)
    for fields in headers.values():
        for name in [name for name, value in fields.items() if not value]:
            del fields[name]
    return headers, packet.payload


def recorded(about) -> list[tuple[int, int, int]]:
    """Give identifier, status and length of each completion that the program printed."""
    lines = []
    for op in about["ops"]:
        if isinstance(op, dict) and op.get("from", "a") == "a":
            lines += op.get("wc", []) + op.get("a", [])
    found = []
    for line in lines:
        words = line.split()
        found.append((int(words[2], 0), int(words[4]), int(words[words.index("len") + 1])))
    return found
