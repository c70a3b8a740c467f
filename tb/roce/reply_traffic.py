"""Random traffic of the active side: what is sent, and what peers, and others, reply."""

import copy
import random
from typing import Any

from .reply_reference import ACKNOWLEDGE, ATOMIC, PSNS, READ, Read, Reference, SentMessage

__all__ = ["random_context", "random_messages", "random_reply"]


def random_context(index: int, pair_bits: int, resources: int) -> dict[str, int]:
    """Context of a queue pair, most of them reliable connections."""
    return {
        "state": random.choice([1] * 9 + [0, 2]),
        "service": random.choice([0, 0, 0, 0, 0, 1, 3]),
        "number": random.randrange(1 << 24 - pair_bits) << pair_bits | index,
        "mtu_shift": random.randint(8, 12),
        "p_key": random.choice([0xFFFF, 0x7FFF, 0x8123]),
        "peer": random.getrandbits(128),
        "psn": random.choice([0, 5, PSNS - 1, PSNS - 20, random.randrange(PSNS)]),
        "reads": resources,
        "retries": random.choice([0, 1, 2, 7, 7]),
        "rnr_retries": random.choice([0, 1, 3, 7]),
    }


def random_messages(qp: Reference, resources: int, place: Any) -> list[SentMessage]:
    """Messages that are sent next, as the limit of READs and the window allow."""
    messages: list[SentMessage] = []
    psn = qp.highest
    under_way = len(qp.reads) - qp.responded
    for _ in range(random.randint(0, 3)):
        if psn - qp.oldest > PSNS // 2 - 10:
            break
        if random.random() < 0.5 and under_way < resources and qp.is_rc:
            under_way += 1
            is_atomic = random.random() < 0.3
            mtu = 1 << qp.context["mtu_shift"]
            length = random.choice(
                [0, 1, mtu - 1, mtu, mtu + 1, 3 * mtu, random.randrange(5 * mtu)]
            )
            length = 8 if is_atomic else length
            count = max(1, -(-length // mtu))
            messages.append(Read(psn, count, is_atomic, length, place()))
        else:
            messages.append(SentMessage(psn, random.choice([1, 1, 2, 5])))
        psn += messages[-1].count
    if qp.is_rc and messages and random.random() < 0.02:
        # A window as large as there may be.
        messages.append(SentMessage(psn, qp.oldest + PSNS // 2 - psn))
    return messages


def _good(qp: Reference) -> dict[str, int]:
    """Reply that a peer would send next."""
    read = qp.read
    psn = random.randrange(qp.oldest, min(qp.highest, qp.oldest + 40))
    if read is None or (psn < read.first and random.random() < 0.7):
        return {"kind": ACKNOWLEDGE, "psn": psn, "has_syndrome": 1}
    psn = max(read.first, qp.oldest)
    if random.random() < 0.15:
        psn = random.randrange(psn, max(psn + 1, min(qp.highest, psn + 6)))
    number = psn - read.first
    mtu = 1 << qp.context["mtu_shift"]
    if read.is_atomic:
        return {"kind": ATOMIC, "psn": psn, "has_syndrome": 1, "payload_bytes": 8}
    last = int(number == read.count - 1)
    size = min(mtu, max(0, read.length - number * mtu))
    fields = {"kind": READ, "psn": psn, "last": last, "payload_bytes": size}
    return {**fields, "has_syndrome": int(last or not number)}


def _spoil(fields: dict[str, int], qp: Reference) -> None:
    """Make something of a reply wrong."""
    name = random.choice(
        ["good", "queue_pair", "p_key", "source", "psn", "kind", "last", "payload_bytes"]
    )
    if name == "psn":
        near = random.choice([qp.oldest - 1, qp.oldest - 1, qp.oldest - 2, qp.highest])
        fields["psn"] = random.choice([near, qp.highest + 1, random.randrange(PSNS)])
    elif name == "payload_bytes":
        fields[name] = random.choice([0, 8, 256, max(0, fields.get(name, 0) - 1), 4096])
    elif name == "kind":
        fields[name] = random.choice([ACKNOWLEDGE, READ, ATOMIC])
    elif name == "p_key":
        fields[name] ^= 1 << random.randrange(16)
    elif name == "queue_pair":
        fields[name] ^= 1 << random.randrange(12, 24)
    elif name == "source":
        fields[name] ^= 1 << random.randrange(128)
    else:
        fields[name] = 1 - fields.get(name, 0)


def random_reply(qp: Reference) -> dict[str, int]:
    """Reply of any kind, most of them such as the queue pair, which is changed, waits for."""
    context = qp.context
    fields = {
        "good": 1,
        "last": 0,
        "queue_pair": context.get("number", qp.index),
        "p_key": context.get("p_key", 0),
        "source": context.get("peer", 0),
        "has_syndrome": 0,
        "syndrome": random.choice([31, random.randrange(32), random.randrange(32)]),
        "msn": (qp.allowed + random.randint(-200, 200)) % PSNS,
        "payload_offset": random.randrange(1 << 9),
        "payload_bytes": 0,
    }
    if qp.is_rc and qp.highest > qp.oldest:
        fields |= _good(qp)
        if random.random() < 0.25:
            kinds = [0x60] * 4 + [random.randrange(0x20, 0x40)] * 4 + [random.randrange(256)]
            kinds += [random.choice([0x61, 0x62, 0x63])] * (random.random() < 0.5)
            fields |= {"has_syndrome": 1, "syndrome": random.choice(kinds)}
            if random.random() < 0.9:
                fields |= {"kind": ACKNOWLEDGE, "last": 0, "payload_bytes": 0}
    else:
        fields |= {"kind": random.randrange(3), "psn": qp.oldest + random.randint(-2, 1)}
        fields["has_syndrome"] = 1
    if random.random() < 0.15:
        _spoil(fields, qp)
    fields["psn"] %= PSNS
    qp.reply(copy.copy(fields))
    return fields
