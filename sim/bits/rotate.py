"""Golden model of hdl.bits.Rotate."""

from collections import deque
from collections.abc import Sequence

__all__ = ["rotate_lanes"]


def rotate_lanes(lanes: Sequence[int], amount: int, direction: str) -> list[int]:
    """Lanes after a rotation by ``amount``: ``left`` moves lane 0 to lane ``amount``."""
    ring = deque(lanes)
    ring.rotate({"left": amount, "right": -amount}[direction])
    return list(ring)
