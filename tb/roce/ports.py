"""Streams that one coroutine drives and observes, many at a time."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from amaranth.lib import data

__all__ = ["Offer", "Packer", "Stalls", "Taker"]


class Packer:
    """Pack nested fields into integers, and take them apart, by a layout.

    Parameters
    ----------
    layout : amaranth.lib.data.Layout or shape
    """

    def __init__(self, layout: Any):
        self._fields: dict[str, tuple[int, int, Packer | None]] = {}
        for name, field in layout:
            inner = Packer(field.shape) if isinstance(field.shape, data.StructLayout) else None
            self._fields[str(name)] = field.offset, (1 << field.width) - 1, inner

    def pack(self, **values: Any) -> int:
        """Value with these fields, the others 0; AssertionError if one is unknown or too wide."""
        total = 0
        for name, value in values.items():
            offset, mask, inner = self._fields[name]
            number = inner.pack(**value) if inner else int(value)
            assert 0 <= number <= mask, f"{name} has no room for {number:#x}"
            total |= number << offset
        return total

    def read(self, value: int) -> dict[str, Any]:
        """Fields of a value."""
        return {
            name: inner.read(value >> offset & mask) if inner else value >> offset & mask
            for name, (offset, mask, inner) in self._fields.items()
        }


class Stalls:
    """How often a port pauses after a transfer, and for how many cycles at most."""

    def __init__(self, share: float = 0.0, longest: int = 8):
        self.share = share
        self.longest = longest

    def draw(self) -> int:
        """Cycles to pause now."""
        if self.share and random.random() < self.share:
            return random.randint(1, self.longest)
        return 0


class Taker:
    """Take what a stream of the device gives.

    Parameters
    ----------
    dut : handle
    name : str
        Of the stream.
    accept : callable
        Gets each payload.
    stalls : Stalls
    """

    def __init__(self, dut: Any, name: str, accept: Callable[[int], None], stalls: Stalls):
        self._payload = dut[f"{name}__payload"]
        self._ready = dut[f"{name}__ready"]
        self.name = name
        self.accept = accept
        self.stalls = stalls
        self._until = 0
        self._is_ready = True
        self._refused: int | None = None
        self._ready.value = 1
        self.count = 0

    def step(self, cycle: int) -> bool:
        """Look at a valid payload; True if it is to be looked at again without one."""
        value = int(self._payload.value)
        assert self._refused is None or value == self._refused, f"{self.name}: payload changed"
        if self._is_ready:
            self._refused = None
            self.count += 1
            self.accept(value)
            pause = self.stalls.draw()
            if pause:
                self._is_ready, self._until = False, cycle + pause
                self._ready.value = 0
                return True
            return False
        self._refused = value
        return True

    def wake(self, cycle: int, valid: bool) -> bool:
        """Become ready again when the pause is over; True if not yet."""
        assert valid or self._refused is None, f"{self.name}: an offer was taken back"
        if cycle < self._until:
            return True
        self._is_ready = True
        self._ready.value = 1
        return False


class Offer:
    """Give a stream of the device what it is to take.

    Parameters
    ----------
    dut : handle
    name : str
        Of the stream.
    stalls : Stalls
    bit : int
        What its ``ready`` is in ``activity``.
    live : dict
        Offers that have something to do, by their bits.
    """

    def __init__(self, dut: Any, name: str, stalls: Stalls, *, bit: int, live: "dict[int, Offer]"):
        self._bit, self._live = bit, live
        self._payload = dut[f"{name}__payload"]
        self._valid = dut[f"{name}__valid"]
        self._valid.value = 0
        self.name = name
        self.stalls = stalls
        self.values: deque[tuple[int, Callable[[], None] | None]] = deque()
        self.is_offered = False
        self._taken: Callable[[], None] | None = None
        self._until = 0
        self.count = self.waited = 0
        self.first = self.last = 0

    def put(self, value: int, taken: Callable[[], None] | None = None) -> None:
        """Offer ``value`` when all before it are taken; ``taken`` is called when it is."""
        self.values.append((value, taken))
        self._live[self._bit] = self

    @property
    def is_idle(self) -> bool:
        """Whether all was taken."""
        return not self.values and not self.is_offered

    def step(self, cycle: int, ready: bool) -> bool:
        """Do what there is to do in a cycle in which the device was ready, or not.

        True if something was taken.
        """
        taken = self.is_offered and ready
        if self.is_offered:
            if not ready:
                self.waited += 1
                return False
            if not self.count:
                self.first = cycle
            self.last = cycle
            self.count += 1
            if self._taken is not None:
                self._taken()
            pause = self.stalls.draw()
            self._until = cycle + pause
            if pause or not self.values:
                self.is_offered = False
                self._valid.value = 0
                return True
        elif cycle < self._until or not self.values:
            return False
        value, self._taken = self.values.popleft()
        self._payload.value = value
        if not self.is_offered:
            self.is_offered = True
            self._valid.value = 1
        return taken
