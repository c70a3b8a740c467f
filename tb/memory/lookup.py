"""Driver of the lookup and write ports that hdl.memory.Cam and Tcam share."""

import random
from collections import deque
from typing import Any

from cocotb.triggers import RisingEdge

from tb.stream import start

__all__ = ["LookupBench"]


class LookupBench:
    """A memory and its model, cycle by cycle; every result is compared.

    ``model.lookup(key)`` is asked before ``model.write(**write)`` is told of the same cycle.
    """

    def __init__(self, dut: Any, model: Any, latency: int, *, masked: bool):
        self.dut = dut
        self.model = model
        self.edge = RisingEdge(dut.clk)
        self.fields = ["index", "key", "valid", *(["mask"] if masked else [])]
        self.coming: deque[tuple[int | None] | None] = deque([None] * latency)
        self.hits = self.misses = 0
        dut.lookup_valid.value = 0
        dut.write_en.value = 0

    async def begin(self) -> "LookupBench":
        """Release reset."""
        await start(self.dut)
        return self

    async def reset(self, model: Any) -> None:
        """Spend a cycle in reset, with lookups under way; go on with an empty ``model``."""
        self.dut.lookup_valid.value = 0
        self.dut.write_en.value = 0
        self.dut.rst.value = 1
        await self.edge
        self.dut.rst.value = 0
        self.model = model
        self.coming = deque([None] * len(self.coming))

    async def step(self, key: int | None = None, write: dict[str, int] | None = None) -> None:
        """Spend a cycle in which ``key`` is looked up and ``write`` is written."""
        dut = self.dut
        dut.lookup_valid.value = int(key is not None)
        if key is not None:
            dut.lookup_key.value = key
        dut.write_en.value = int(write is not None)
        for field in self.fields:
            pin = dut[f"write_{field}"]
            pin.value = random.getrandbits(len(pin)) if write is None else int(write[field])
        await self.edge
        expected = self.coming.popleft()
        assert bool(dut.result_valid.value) == (expected is not None)
        if expected is not None:
            (index,) = expected
            found = int(dut.result_index.value) if dut.result_match.value else None
            assert found == index
            self.hits += index is not None
            self.misses += index is None
        self.coming.append(None if key is None else (self.model.lookup(key),))
        if write is not None:
            self.model.write(**write)

    async def finish(self, *, hits: int, misses: int) -> None:
        """See the last results; there must have been at least so many hits and misses."""
        for _ in range(len(self.coming)):
            await self.step()
        assert self.hits >= hits, self.hits
        assert self.misses >= misses, self.misses
