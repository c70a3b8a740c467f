"""What to copy so that every two values meet: lengths, places, sizes of packets."""

import random
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any

from allpairspy import AllPairs

__all__ = ["SIZES", "CopyCase", "by_sizes", "few_cases", "many_cases"]

#: Max_Payload_Size and Max_Read_Request_Size.
SIZES = tuple(128 << code for code in range(6))
#: Around what packets, rows and pages are made of.
_LENGTHS = (1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 512, 513, 1024, 1025)
_LENGTHS += (2048, 4095, 4096, 4097, 6000, 8191, 8192)
_OFFSETS = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 62, 63)


@dataclass(frozen=True)
class CopyCase:
    """Bytes from each side's ``offset`` on, with these sizes in Device Control."""

    to_card: bool
    length: int
    host_offset: int
    card_offset: int
    payload_bytes: int
    request_bytes: int


def few_cases(count: int) -> list[CopyCase]:
    """Make ``count`` cases: every pair of two values that matter, and random ones.

    Raises
    ------
    ValueError
        If ``count`` is not enough for all pairs.
    """
    values = [(True, False), _LENGTHS, _OFFSETS, _OFFSETS, SIZES, SIZES]
    rows: Iterable[Any] = AllPairs(values)
    cases = [CopyCase(*row) for row in rows]
    if len(cases) > count:
        raise ValueError(f"count must be {len(cases)} or more, not {count!r}")
    while len(cases) < count:
        host_offset, card_offset = random.randrange(64), random.randrange(64)
        sizes = random.choice(SIZES), random.choice(SIZES)
        to_card = random.random() < 0.5
        cases.append(CopyCase(to_card, random.randint(1, 8192), host_offset, card_offset, *sizes))
    return cases


def many_cases() -> list[CopyCase]:
    """Make 50,000 cases: each length with each size, each two offsets, each two sizes.

    Each length with each offset would be ten times as many.
    """
    offsets = list(product(range(64), repeat=2))
    cases = []
    for number in range(50_000):
        if number % len(offsets) == 0:
            random.shuffle(offsets)
        turn, length = divmod(number, 8192)
        sizes = SIZES[turn % 6], SIZES[(turn + length) % 6]
        host_offset, card_offset = offsets[number % len(offsets)]
        to_card = (number + turn) % 2 == 0
        cases.append(CopyCase(to_card, length + 1, host_offset, card_offset, *sizes))
    return cases


def by_sizes(cases: list[CopyCase]) -> list[list[CopyCase]]:
    """Group cases that can be under way at once."""
    groups: dict[tuple[int, ...], list[CopyCase]] = {}
    for case in cases:
        groups.setdefault(astuple(case)[-2:], []).append(case)
    return list(groups.values())
