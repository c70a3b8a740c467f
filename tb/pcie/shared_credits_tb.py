"""cocotb testbench of hdl.pcie.SharedCredits."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.pcie import SharedCreditsModel
from tb.stream import start

COLUMN_COUNT = int(os.environ["COLUMN_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
HEADERS = int(os.environ["HEADERS"])


class Bench:
    """The block beside its model: a credit comes in the very cycle that is promised."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.reset()

    def reset(self) -> None:
        """Begin with nothing inside."""
        self.model = SharedCreditsModel(COLUMN_COUNT, HEADERS)
        # What is seen at the next edges: the register, and what the counts say behind it.
        self.coming = [False, False]
        self.freed = 0

    async def step(self, enter: int, leave: list[int]) -> None:
        """Spend a cycle in which broadcasts come, and copies leave each column."""
        for _ in range(enter):
            self.model.enter()
        for column, count in enumerate(leave):
            self.dut[f"left__{column}"].value = count
            for _ in range(count):
                self.model.leave(column)
        await self.edge
        freed = bool(self.dut.freed.value)
        assert freed == self.coming.pop(0)
        self.freed += freed
        self.coming.append(self.model.free())

    async def random_step(self, greed: float, slow: set[int]) -> None:
        """Spend a cycle with a sender and columns that do as they like."""
        room = HEADERS - len(self.model.inside) - sum(self.coming)
        enter = random.randint(0, min(SEGMENT_COUNT, room)) if random.random() < greed else 0
        leave = []
        for column in range(COLUMN_COUNT):
            most = min(SEGMENT_COUNT, self.model.waiting(column))
            stays = random.random() < (0.95 if column in slow else 0.2)
            leave.append(0 if stays else random.randint(0, most))
        await self.step(enter, leave)

    async def drain(self) -> None:
        """Let everything leave; nothing may be missing or come twice."""
        while self.model.inside:
            await self.random_step(0, set())
        for _ in range(4):
            await self.step(0, [0] * COLUMN_COUNT)


async def begin(dut) -> Bench:
    """Start the clock, reset, and go."""
    for column in range(COLUMN_COUNT):
        dut[f"left__{column}"].value = 0
    await start(dut)
    return Bench(dut)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_credit_is_free_when_the_last_copy_has_left(dut):
    """At any speeds of the columns, each credit comes once, 2 cycles after the last copy."""
    bench = await begin(dut)
    for _ in range(30):
        slow = set(random.sample(range(COLUMN_COUNT), random.randint(0, COLUMN_COUNT)))
        for _ in range(100):
            await bench.random_step(random.choice([0.3, 1.0]), slow)
        await bench.drain()
    assert bench.freed > 100


@cocotb.test(timeout_time=20, timeout_unit="us")
@cocotb.parametrize(last=range(COLUMN_COUNT))
async def all_credits_wait_for_one_column(dut, last):
    """As many as there are fill the counts of all others, then come back one a cycle."""
    bench = await begin(dut)
    for _ in range(2):
        for _ in range(HEADERS):
            await bench.step(1, [int(column != last) for column in range(COLUMN_COUNT)])
        assert bench.freed == 0 or COLUMN_COUNT == 1
        for _ in range(HEADERS + 2):
            left = bench.model.waiting(last)
            await bench.step(
                0, [min(left, SEGMENT_COUNT) if c == last else 0 for c in range(COLUMN_COUNT)]
            )
        await bench.drain()
        assert bench.freed == HEADERS
        bench.freed = 0


@cocotb.test(timeout_time=20, timeout_unit="us")
async def reset_forgets_copies(dut):
    """After a reset nothing is counted."""
    bench = await begin(dut)
    for _ in range(5):
        for _ in range(20):
            await bench.random_step(1.0, {0})
        for column in range(COLUMN_COUNT):
            dut[f"left__{column}"].value = 0
        dut.rst.value = 1
        await bench.edge
        await bench.edge
        dut.rst.value = 0
        bench.reset()
        await bench.drain()
        for _ in range(20):
            await bench.random_step(1.0, set())
        await bench.drain()
        assert bench.freed > 0
