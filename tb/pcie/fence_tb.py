"""cocotb testbench of hdl.pcie.Fence, of items of 8 bits."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from hdl.pcie.parts import PostedRowsLayout
from sim.pcie import FenceModel
from tb.stream import start

_POSTED = PostedRowsLayout()
_MOST = 2046


class Bench:
    """The fence, a queue of rows, and the model, compared in each cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.reset()

    def reset(self) -> None:
        """Begin with no row and no item."""
        self.model = FenceModel()
        self.item: int | None = None
        self.passed = 0
        self.waited = 0

    async def step(self, *, comes: bool, leaves: bool, offered: bool, ready: bool) -> None:
        """Spend a cycle; an item that has not passed goes on unless it is not ``offered``."""
        model, dut = self.model, self.dut
        inside = model.came - model.left
        leaves = leaves and inside > 0
        dut.posted.value = inside << _POSTED["inside"].offset | leaves << _POSTED["leaves"].offset
        if not offered:
            self.item = None
        elif self.item is None:
            self.item = random.getrandbits(8)
        dut.i__valid.value = int(offered)
        dut.i__payload.value = self.item or 0
        dut.o__ready.value = int(ready)
        await self.edge
        passes = offered and model.passes
        assert bool(dut.o__valid.value) == passes, f"{model.needs} of {model.left} rows"
        assert bool(dut.i__ready.value) == (model.passes and ready)
        self.waited += offered and not passes
        if passes:
            assert int(dut.o__payload.value) == self.item
        if offered and not (passes and ready):
            model.offer()
        else:
            self.passed += offered
            self.item = None
            model.forget()
        model.came += comes and model.came - model.left < _MOST
        model.left += leaves


async def begin(dut) -> Bench:
    """Start the clock, reset, and go."""
    dut.posted.value = dut.i__valid.value = dut.o__ready.value = 0
    await start(dut)
    return Bench(dut)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.5], withdrawn=[0.0, 0.1])
async def items_wait_for_the_rows_in_front_of_them(dut, stall, withdrawn):
    """And for none behind them, whatever comes, leaves, and is taken back."""
    bench = await begin(dut)
    for _ in range(60):
        writes, reads = random.choice([0.1, 0.5, 1.0]), random.choice([0.1, 0.5, 1.0])
        for _ in range(100):
            await bench.step(
                comes=random.random() < writes,
                leaves=random.random() < reads,
                offered=random.random() >= withdrawn and random.random() < 0.9,
                ready=random.random() >= stall,
            )
        while bench.model.came > bench.model.left:
            await bench.step(comes=False, leaves=True, offered=True, ready=random.random() >= stall)
    assert bench.passed > 100 and bench.waited > 100


@cocotb.test(timeout_time=20, timeout_unit="us")
async def without_rows_an_item_waits_a_cycle(dut):
    """Ten items pass in twenty cycles."""
    bench = await begin(dut)
    for _ in range(20):
        await bench.step(comes=False, leaves=False, offered=True, ready=True)
    assert bench.passed == 10


@cocotb.test(timeout_time=20, timeout_unit="us")
async def a_full_queue_that_refills_holds_up_one_item_once(dut):
    """With as many rows as can be counted, and one more for each that leaves."""
    bench = await begin(dut)
    for _ in range(_MOST):
        await bench.step(comes=True, leaves=False, offered=False, ready=True)
    for _ in range(_MOST):
        await bench.step(comes=True, leaves=True, offered=True, ready=True)
        assert bench.passed == 0
    for _ in range(2):
        await bench.step(comes=True, leaves=True, offered=True, ready=True)
    assert bench.passed == 1


@cocotb.test(timeout_time=20, timeout_unit="us")
async def reset_forgets_the_item(dut):
    """After a reset an item is new."""
    bench = await begin(dut)
    for _ in range(10):
        await bench.step(comes=True, leaves=False, offered=False, ready=True)
    for _ in range(5):
        await bench.step(comes=False, leaves=False, offered=True, ready=True)
    dut.rst.value = 1
    dut.i__valid.value = dut.posted.value = 0
    await bench.edge
    await bench.edge
    dut.rst.value = 0
    bench.reset()
    for _ in range(4):
        await bench.step(comes=False, leaves=False, offered=True, ready=True)
    assert bench.passed == 2
