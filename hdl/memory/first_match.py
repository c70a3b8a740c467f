"""Lowest of many matches."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FirstMatch"]

# Inputs of each node of the tree, which is what one cycle decides.
_RADIX = 16


class FirstMatch(wiring.Component):
    """Number of the lowest bit that is set, by a tree that decides 16 to 1 in a cycle.

    Latency is ``latency``, 1 cycle for up to 16 bits, 2 for up to 256. Throughput is 1 per cycle.

    Specification: this docstring.

    Parameters
    ----------
    count : int
        Number of bits, 2 or more.

    Attributes
    ----------
    latency : int
        Levels of the tree.

    Members
    -------
    matches : In(count)
        Bits, taken in every cycle.
    found : Out(1)
        A bit was set; registered.
    index : Out(range(count))
        Number of the lowest bit set; undefined unless ``found``. Registered.

    Raises
    ------
    ValueError
        If ``count`` is less than 2.
    """

    matches: Signal
    found: Signal
    index: Signal

    def __init__(self, *, count: int):
        if count < 2:
            raise ValueError(f"count must be 2 or more, not {count!r}")
        self.count = count
        self.latency = 1
        while _RADIX**self.latency < count:
            self.latency += 1
        super().__init__({"matches": In(count), "found": Out(1), "index": Out(range(count))})

    def elaborate(self, platform):
        m = Module()

        # Of each node: whether a bit below it is set, and the number of the lowest among them.
        nodes: list[tuple[Value, Value]] = [(bit, Const(0, 0)) for bit in self.matches]
        for level in range(self.latency):
            parents = []
            for start in range(0, len(nodes), _RADIX):
                children = nodes[start : start + _RADIX]
                number = start // _RADIX
                found = Signal(name=f"found_{level}_{number}", reset_less=True)
                index = Signal(
                    range(_RADIX ** (level + 1)), name=f"index_{level}_{number}", reset_less=True
                )
                m.d.sync += found.eq(Cat(hit for hit, _ in children).any())
                for position, (hit, low) in reversed(list(enumerate(children))):
                    with m.If(hit):
                        m.d.sync += index.eq(Cat(low, Const(position, 4)))
                parents.append((found, index))
            nodes = parents
        ((found, index),) = nodes
        m.d.comb += [self.found.eq(found), self.index.eq(index)]
        return m
