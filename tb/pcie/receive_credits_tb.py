"""cocotb testbench of hdl.pcie.ReceiveCredits."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import CreditAmountsLayout
from hdl.pcie.port import CreditCountsLayout
from sim.pcie import ReceiveCreditsModel
from tb.stream import start

from .credit_amounts import pack, unpack

SOURCE_COUNT = int(os.environ["SOURCE_COUNT"])
ADVERTISED = [int(word) for word in os.environ["ADVERTISED"].split(",")]
#: Cycles from ``returned`` to ``room``.
DELAY = 2 if SOURCE_COUNT <= 4 else 3
ROOM = CreditAmountsLayout(12, 16)
COUNTS = CreditCountsLayout()
RETURNED = CreditAmountsLayout(3, 11)
MOST = (7, 2047) * 3


class Bench:
    """The block beside its model, every output in every cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.model = ReceiveCreditsModel(ADVERTISED)
        self.held = [0] * 6
        self.frees = [[0] * 6] * (DELAY - 1)
        self.drained = True
        self.wrapped = 0
        self.shown = list(ADVERTISED)
        self.links = [False, False]  # of the two cycles before

    async def step(self, take: list[int], free: list[list[int]], *, link_up: bool) -> None:
        """One cycle: what is received, and what each source returns."""
        room = self.model.room
        self.model.set_link(link_up)
        self.dut.link_up.value = int(link_up)
        returning = self.frees[0]
        left = [n + r - t for n, r, t in zip(room, returning, take, strict=True)]
        self.dut.room_left.value = pack(ROOM, left)
        for number, amounts in enumerate(free):
            self.dut[f"returned__{number}"].value = pack(RETURNED, amounts)
        await self.edge
        assert unpack(ROOM, int(self.dut.room.value)) == room
        assert unpack(ROOM, int(self.dut.returning.value)) == returning
        allocated = unpack(COUNTS, int(self.dut.allocated.value))
        expected = [count % (4096, 65536)[index % 2] for index, count in enumerate(self.shown)]
        # The count of a link that went down is gone a cycle later.
        if self.links != [True, False]:
            assert allocated == expected
        self.links = [self.links[1], link_up]
        assert bool(self.dut.drained.value) == self.drained
        self.drained = self.model.drained
        for index in range(6):
            self.model.receive(index, take[index])
            self.held[index] += take[index] - sum(amounts[index] for amounts in free)
            self.wrapped += self.model.allocated[index] // 4096
        self.frees.append([sum(column) for column in zip(*free, strict=True)])
        for index, amount in enumerate(self.frees.pop(0)):
            self.model.free(index, amount)
        self.shown = list(self.model.allocated)

    async def random_step(self, greed: float, generosity: float, *, link_up: bool) -> None:
        """One cycle of a sender and of users that do as they like."""
        room = self.model.room
        take = [0] * 6
        if link_up and random.random() < greed:
            take = [random.randint(0, min(now, most)) for now, most in zip(room, MOST, strict=True)]
        free = []
        left = list(self.held)
        for _ in range(SOURCE_COUNT):
            amounts = [0] * 6
            if random.random() < generosity:
                amounts = [random.randint(0, min(h, m)) for h, m in zip(left, MOST, strict=True)]
            left = [h - a for h, a in zip(left, amounts, strict=True)]
            free.append(amounts)
        random.shuffle(free)
        await self.step(take, free, link_up=link_up)


async def begin(dut) -> Bench:
    """Release reset with the link down."""
    dut.link_up.value = 0
    dut.room_left.value = pack(ROOM, ADVERTISED)
    for number in range(SOURCE_COUNT):
        dut[f"returned__{number}"].value = 0
    await start(dut)
    bench = Bench(dut)
    return bench


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(greed=[0.3, 1.0], generosity=[0.1, 0.9])
async def ledger(dut, greed, generosity):
    """Room, allocation and drain are the model's in every cycle, over wraps and over links."""
    bench = await begin(dut)
    link_up = False
    for number in range(1000):
        if random.random() < (0.002 if link_up else 0.1):
            link_up = not link_up
        resting = number % 500 > 480
        await bench.random_step(
            0 if resting else greed, 1.0 if resting else generosity, link_up=link_up
        )
    # With few credits in all, no count comes to its end.
    assert bench.wrapped > 100 or max(ADVERTISED) < 100


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_new_link_gets_what_is_free(dut):
    """First the credits that nothing holds, the others as they come back, in all just those."""
    bench = await begin(dut)
    none = [[0] * 6] * SOURCE_COUNT
    for _ in range(10):
        await bench.random_step(1.0, 0.1, link_up=True)
    held = list(bench.held)
    assert sum(held)
    for _ in range(5):
        await bench.step([0] * 6, none, link_up=False)
    assert not dut.drained.value
    free = [most - kept for most, kept in zip(ADVERTISED, held, strict=True)]
    for _ in range(5):
        await bench.step([0] * 6, none, link_up=True)
        assert unpack(COUNTS, int(dut.allocated.value)) == free
    while sum(bench.held):
        await bench.random_step(0, 1.0, link_up=True)
    for _ in range(6):
        await bench.step([0] * 6, none, link_up=True)
    assert unpack(COUNTS, int(dut.allocated.value)) == ADVERTISED
    assert dut.drained.value
