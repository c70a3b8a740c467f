"""Golden models of hdl.memory.SinglePortRam, SimpleDualPortRam and TrueDualPortRam."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RamModel", "RamRow", "RamUse"]


@dataclass(frozen=True)
class RamRow:
    """A row of which the bits in ``known`` are defined; the others are 0 in ``value``."""

    value: int = 0
    known: int = 0


@dataclass(frozen=True)
class RamUse:
    """What a port does in a cycle: write ``lanes`` of a row or, where there are none, read it."""

    address: int
    data: int = 0
    lanes: int = 0


class RamModel:
    """Rows with lanes, and what ports that use them in one cycle see of each other."""

    def __init__(self, *, width: int, lane_count: int, bypass: bool = False):
        self.width = width
        self.lane_bits = width // lane_count
        self.bypass = bypass
        self.rows: dict[int, RamRow] = {}

    def _mask(self, lanes: int) -> int:
        """Bits of a row that ``lanes`` cover."""
        one = (1 << self.lane_bits) - 1
        count = self.width // self.lane_bits
        return sum(one << lane * self.lane_bits for lane in range(count) if lanes >> lane & 1)

    def step(self, uses: Sequence[RamUse | None]) -> list[RamRow | None]:
        """Carry out what each port does in a cycle; return what each that reads will see."""
        writes = [use for use in uses if use and use.lanes]
        before = dict(self.rows)
        written: dict[int, int] = {}
        for use in writes:
            mask = self._mask(use.lanes)
            row = self.rows.get(use.address, RamRow())
            twice = mask & written.get(use.address, 0)
            written[use.address] = written.get(use.address, 0) | mask
            self.rows[use.address] = RamRow(
                (row.value & ~mask | use.data & mask) & ~twice, (row.known | mask) & ~twice
            )
        seen: list[RamRow | None] = []
        for use in uses:
            if use is None or use.lanes:
                seen.append(None)
            elif self.bypass:
                seen.append(self.rows.get(use.address, RamRow()))
            elif use.address in written:
                seen.append(RamRow())
            else:
                seen.append(before.get(use.address, RamRow()))
        return seen
