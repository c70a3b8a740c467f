"""Well-formed TLPs of every kind, at random."""

import random
from typing import Any

from sim.pcie.tlp import Kind, Tlp

__all__ = ["random_tlp"]

_ATOMICS = (Kind.FETCH_ADD, Kind.SWAP, Kind.COMPARE_AND_SWAP)


def _dwords(most: int) -> int:
    return random.choice([1, random.randint(1, 16), random.randint(1, most)])


def _memory(kind: Kind, dwords: int, *, has_data: bool) -> dict[str, Any]:
    four_dwords = random.random() < 0.5
    page = random.getrandbits(52 if four_dwords else 20)
    return {
        "kind": kind,
        "data": random.randbytes(4 * dwords) if has_data else None,
        "length": dwords,
        "four_dwords": four_dwords,
        "address": page << 12 | 4 * random.randint(0, 1024 - dwords),
        "first_be": 15,
        "last_be": 0 if dwords == 1 else 15,
        "at": random.choice([0, 0, 2]),
    }


def _configuration() -> dict[str, Any]:
    return {
        "kind": random.choice([Kind.CONFIGURATION_0, Kind.CONFIGURATION_1]),
        "data": random.choice([None, random.randbytes(4)]),
        "length": 1,
        "first_be": random.getrandbits(4),
        "target": random.getrandbits(16),
        "register": random.getrandbits(10),
    }


def _completion(most: int) -> dict[str, Any]:
    dwords = random.choice([0, _dwords(most)])
    return {
        "kind": random.choice([Kind.COMPLETION, Kind.COMPLETION, Kind.COMPLETION_LOCKED]),
        "data": random.randbytes(4 * dwords) if dwords else None,
        "length": dwords,
        "completer": random.getrandbits(16),
        "status": 0 if dwords else random.choice([0, 1, 2, 4]),
        "byte_count": 4 * dwords & 0xFFF,
        "lower_address": random.getrandbits(7),
    }


def _message() -> dict[str, Any]:
    dwords = random.choice([0, 0, 1])
    return {
        "kind": random.choice([kind for kind in Kind if kind >> 3 == 0b10]),
        "data": random.randbytes(4 * dwords) if dwords else None,
        "length": dwords,
        "four_dwords": True,
        "code": random.getrandbits(8),
        "target": random.getrandbits(16),
        "vendor": random.getrandbits(16),
        "message_payload": random.getrandbits(32),
    }


def random_tlp(*, most_dwords: int = 64, digests: float = 0.1, prefixes: float = 0.1) -> Tlp:
    """One TLP, with at most ``most_dwords`` of payload.

    Parameters
    ----------
    most_dwords : int
        1 to 1024.
    digests, prefixes : float
        Part of the TLPs that have one.
    """
    makers = [
        lambda: _memory(Kind.MEMORY, _dwords(most_dwords), has_data=True),
        lambda: _memory(Kind.MEMORY, _dwords(1024), has_data=False),
        lambda: _memory(random.choice(_ATOMICS), random.choice([1, 2]), has_data=True),
        lambda: _memory(Kind.MEMORY_LOCKED, _dwords(1024), has_data=False),
        lambda: _memory(Kind.IO, 1, has_data=random.random() < 0.5) | {"four_dwords": False},
        _configuration,
        lambda: _completion(most_dwords),
        _message,
    ]
    fields = random.choice(makers)()
    if fields["kind"] == Kind.IO:
        fields["address"] &= 0xFFFFFFFF
    prefix = bytes([random.choice([0x91, 0x90])]) + random.randbytes(3)
    return Tlp(
        **fields,
        tc=random.getrandbits(3),
        no_snoop=random.random() < 0.5,
        relaxed_ordering=random.random() < 0.5,
        id_ordering=random.random() < 0.5,
        poisoned=random.random() < 0.1,
        tag=random.getrandbits(10),
        requester=random.getrandbits(16),
        digest=random.randbytes(4) if random.random() < digests else None,
        prefix=int.from_bytes(prefix, "little") if random.random() < prefixes else None,
    )
