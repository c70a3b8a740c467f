"""Completions of a read, as a completer may send them."""

import random
from collections.abc import Callable
from itertools import pairwise

from sim.pcie.tlp import Kind, Tlp

__all__ = ["REQUESTER", "completions_of", "every_boundary", "random_boundaries", "spoiled"]

#: Our own ID in the tests.
REQUESTER = 0x1A08


def every_boundary(boundaries: list[int]) -> list[int]:
    """Split wherever it may be done."""
    return boundaries


def random_boundaries(boundaries: list[int]) -> list[int]:
    """Split at some places; often at none, or at all."""
    density = random.choice([0, 0.2, 0.5, 1])
    return [boundary for boundary in boundaries if random.random() < density]


def completions_of(
    tag: int,
    address: int,
    length: int,
    *,
    rcb: int = 64,
    choose: Callable[[list[int]], list[int]] = every_boundary,
    digests: float = 0.0,
) -> list[Tlp]:
    """Completions of random data, split at the multiples of ``rcb`` that ``choose`` picks."""
    end = address + (length or 1)
    first = address // rcb * rcb + rcb
    cuts = [address, *choose(list(range(first, end, rcb))), end]
    return [
        Tlp(
            Kind.COMPLETION,
            data=random.randbytes((behind + 3) // 4 * 4 - begin // 4 * 4),
            length=(behind + 3) // 4 - begin // 4,
            tag=tag,
            requester=REQUESTER,
            completer=random.getrandbits(16),
            byte_count=end - begin & 0xFFF,
            lower_address=begin & 0x7F,
            digest=random.randbytes(4) if random.random() < digests else None,
        )
        for begin, behind in pairwise(cuts)
    ]


def spoiled(tlp: Tlp, tag_count: int) -> Tlp:
    """``tlp`` with something wrong, or that is right but bad news."""
    assert tlp.data is not None
    longer = tlp.data + random.randbytes(4 * random.choice([1, 2, 7, 8, 9, 40]))
    shorter = tlp.data[: 4 * random.randrange(tlp.length)]
    no_data = {"data": None, "length": 0, "digest": None}
    changes: list[dict[str, object]] = [
        {**no_data, "status": 1},
        {**no_data, "status": 2},
        {**no_data, "status": 4},
        {**no_data, "status": random.choice([3, 5, 6, 7])},
        no_data,
        {"status": 1},
        {"poisoned": True},
        {"nullified": True},
        {"byte_count": tlp.byte_count + random.choice([-64, -1, 1, 4, 64]) & 0xFFF},
        {"byte_count": tlp.byte_count ^ 1 << random.randrange(12)},
        {"lower_address": tlp.lower_address ^ 1 << random.randrange(7)},
        {"data": longer, "length": len(longer) // 4},
        {"data": longer},
        {"data": shorter or None, "length": len(shorter) // 4},
        {"data": shorter or b""},
        {"requester": tlp.requester ^ 1 << random.randrange(16)},
        {"tag": random.randrange(1 << 14)},
        {"tag": tlp.tag ^ 1},
        {"tag": tlp.tag | tag_count},
        {"kind": Kind.COMPLETION_LOCKED},
    ]
    return tlp.with_changes(**random.choice(changes))
