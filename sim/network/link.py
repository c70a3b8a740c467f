"""A wire from one card to another, and everything that may happen to a frame on it."""

import heapq
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields

__all__ = ["Faults", "Link"]

#: Bytes on the wire besides the frame: preamble and start 8, FCS 4, gap 12 (IEEE 802.3, 4.2.3.2).
_OVERHEAD_BYTES = 24
_PICOSECONDS = 1_000_000_000_000


@dataclass(frozen=True)
class Faults:
    """Probabilities of what may happen to a frame, one thing at a time.

    Parameters
    ----------
    drop, duplicate, reorder, corrupt : float
        0 to 1, together 1 at most. A frame that is reordered comes late; one that is corrupted
        has a wrong bit.

    Raises
    ------
    ValueError
        If one is negative, or they are more than 1 together.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0

    def __post_init__(self):
        chances = [getattr(self, field.name) for field in fields(self)]
        if min(chances) < 0 or sum(chances) > 1:
            raise ValueError(f"faults must be 0 or more, 1 together at most, not {chances!r}")


class Link:
    """One direction of a wire: frames that are sent arrive later, in order, or as faults have it.

    Time is in nanoseconds, whatever it counts from. Frames come and go without FCS.

    Parameters
    ----------
    seed : int
        Of the faults: the same frames have the same fate again.
    bits_per_second : int
        Rate; 0 for a wire on which a frame takes no time.
    delay : int
        Nanoseconds from a frame's last bit out to its arrival.
    faults : Faults
    lateness : int
        Nanoseconds that a reordered frame comes later.
    drops : collection of int
        Numbers of frames that are lost besides, counted from 0 on.
    capacity : int
        Frames that wait for the wire, or are on it; what comes then is lost, as in a switch.

    Attributes
    ----------
    fates : Counter
        ``sent``, ``dropped``, ``duplicated``, ``reordered``, ``corrupted``, ``overrun``.

    Raises
    ------
    ValueError
        If a rate, time or capacity is negative.
    """

    def __init__(
        self,
        *,
        seed: int,
        bits_per_second: int = 0,
        delay: int = 0,
        faults: Faults | None = None,
        lateness: int = 0,
        drops: Collection[int] = (),
        capacity: int = 1 << 20,
    ):
        for name, value in (
            ("bits_per_second", bits_per_second),
            ("delay", delay),
            ("lateness", lateness),
            ("capacity", capacity),
        ):
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value!r}")
        self.bits_per_second = bits_per_second
        self.delay = delay
        self.faults = faults or Faults()
        self.lateness = lateness
        self.drops = drops
        self.capacity = capacity
        self.fates: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._free = 0  # picosecond from which on the wire is idle
        self._number = 0
        self._under_way: list[tuple[int, int, bytes]] = []
        self._order = 0

    def send(self, frame: bytes, now: int) -> None:
        """Put a frame on the wire at ``now``, behind those before it."""
        number = self._number
        self._number += 1
        self.fates["sent"] += 1
        if len(self._under_way) >= self.capacity:
            self.fates["overrun"] += 1
            return
        self._free = max(self._free, now * 1000)
        if self.bits_per_second:
            bits = (len(frame) + _OVERHEAD_BYTES) * 8
            self._free += -(-bits * _PICOSECONDS // self.bits_per_second)
        time = -(-self._free // 1000) + self.delay
        fate = self._fate(number)
        if fate:
            self.fates[fate] += 1
        if fate == "dropped":
            return
        if fate == "corrupted":
            bit = self._random.randrange(8 * len(frame))
            changed = bytearray(frame)
            changed[bit // 8] ^= 1 << bit % 8
            frame = bytes(changed)
        self._put(time + (self.lateness if fate == "reordered" else 0), frame)
        if fate == "duplicated":
            self._put(time, frame)

    def _fate(self, number: int) -> str:
        if number in self.drops:
            return "dropped"
        chance, faults = self._random.random(), self.faults
        for fate, part in (
            ("dropped", faults.drop),
            ("duplicated", faults.duplicate),
            ("reordered", faults.reorder),
            ("corrupted", faults.corrupt),
        ):
            if chance < part:
                return fate
            chance -= part
        return ""

    def _put(self, time: int, frame: bytes) -> None:
        self._order += 1
        heapq.heappush(self._under_way, (time, self._order, frame))

    @property
    def idle_at(self) -> int:
        """When what was sent will have left: nanosecond from which on the wire is idle."""
        return -(-self._free // 1000)

    @property
    def next_arrival(self) -> int | None:
        """Time at which the next frame arrives; None if none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def arrivals(self, now: int) -> list[bytes]:
        """Frames that have arrived by ``now`` and were not taken before."""
        frames = []
        while self._under_way and self._under_way[0][0] <= now:
            frames.append(heapq.heappop(self._under_way)[2])
        return frames
