"""cocotb testbench of hdl.memory.FreeList."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.memory import FreeListModel
from tb.stream import start

COUNT = int(os.environ["COUNT"])
CHECKED = os.environ["CHECKED"] == "True"


class Bench:
    """The list and its model, cycle by cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.allocated: list[int] = []
        self.reset()

    def reset(self) -> None:
        """Begin with every index free."""
        self.model = FreeListModel(COUNT)
        # Whether the last cycle's freed index was held; and the last two's were not.
        self.accepted = False
        self.refused = [False, False]
        self.offer: int | None = None

    async def step(self, *, take: bool, free: int | None = None) -> int | None:
        """Spend a cycle; return the index that was handed out in it."""
        dut = self.dut
        dut.allocated__ready.value = int(take)
        dut.freed__valid.value = int(free is not None)
        dut.freed__payload.value = random.randrange(COUNT) if free is None else free
        await self.edge
        assert int(dut.free_count.value) == self.model.free_count - self.accepted
        assert bool(dut.double_free.value) == self.refused[0]
        offered = int(dut.allocated__payload.value) if dut.allocated__valid.value else None
        assert self.offer is None or offered == self.offer, "an offer was taken back"
        assert offered is None or [offered] == list(self.model.free_indices)[:1]
        self.offer = None if take else offered
        index = self.model.allocate() if take and offered is not None else None
        if index is not None:
            self.allocated.append(index)
        accepted = free is not None and self.model.free(free)
        self.accepted = accepted
        self.refused = [self.refused[1], free is not None and not accepted]
        return index


async def begin(dut) -> Bench:
    """Release reset with idle ports."""
    dut.allocated__ready.value = 0
    dut.freed__valid.value = 0
    await start(dut)
    return Bench(dut)


async def take_all(bench: Bench) -> None:
    """Take every index and see that there are no more."""
    for _ in range(COUNT + 10):
        await bench.step(take=True)
    assert bench.model.free_count == 0


@cocotb.test(timeout_time=100, timeout_unit="us")
async def first_pass_is_one_a_cycle(dut):
    """After reset every index is handed out, ascending, in as many cycles."""
    bench = await begin(dut)
    await bench.step(take=True)
    for _ in range(COUNT):
        assert await bench.step(take=True) is not None
    await take_all(bench)
    assert bench.allocated == list(range(COUNT))


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_freed_index_comes_back_after_4_cycles(dut):
    """With nothing else free, the latency is as stated, for every index."""
    bench = await begin(dut)
    await take_all(bench)
    for index in random.sample(range(COUNT), COUNT):
        await bench.step(take=True, free=index)
        assert [await bench.step(take=True) for _ in range(4)] == [None, None, None, index]


@cocotb.test(timeout_time=100, timeout_unit="us")
async def saturated_list_gives_and_takes_one_a_cycle(dut):
    """With 5 indices or more, freeing each index 1 cycle after it came loses no cycle."""
    if COUNT < 5:
        return
    bench = await begin(dut)
    last = None
    await bench.step(take=True)
    for _ in range(5 * COUNT):
        last = await bench.step(take=True, free=last)
        assert last is not None


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(take=[0.1, 0.5, 1.0], free=[0.1, 0.5, 1.0])
async def random_holders(dut, take, free):
    """Take and free at random; reset now and then, with indices held."""
    bench = await begin(dut)
    holding: list[int] = []
    for number in range(1500):
        freed = None
        if holding and random.random() < free:
            freed = holding.pop(random.randrange(len(holding)))
        index = await bench.step(take=random.random() < take, free=freed)
        if index is not None:
            holding.append(index)
        if number % 400 == 399:
            dut.rst.value = 1
            dut.allocated__ready.value = dut.freed__valid.value = 0
            await ClockCycles(dut.clk, 2)
            dut.rst.value = 0
            bench.reset()
            holding = []
    assert len(bench.allocated) > 50


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(take=[0.1, 0.9])
async def double_free_is_reported_and_ignored(dut, take):
    """Free indices that nobody holds, twice in a row too: only a checked list is asked to cope."""
    if not CHECKED:
        return
    bench = await begin(dut)
    reports = 0
    freed = None
    for _ in range(1500):
        freed = random.choice([None, freed, random.randrange(COUNT)])
        await bench.step(take=random.random() < take, free=freed)
        reports += bench.refused[1]
    assert reports > 50
