"""cocotb testbench of hdl.bits.PriorityPicker (PICKER=priority) and RoundRobinPicker."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer

from sim.bits import PriorityPickerModel, RoundRobinPickerModel

REQUEST_COUNT = int(os.environ["REQUEST_COUNT"])
ROUND_ROBIN = os.environ["PICKER"] == "round_robin"


def bits(value: int) -> list[int]:
    """Numbers of the bits set in ``value``."""
    return [n for n in range(REQUEST_COUNT) if value >> n & 1]


class Bench:
    """The picker and its model, step by step."""

    def __init__(self, dut):
        self.dut = dut
        self.model = RoundRobinPickerModel(REQUEST_COUNT) if ROUND_ROBIN else PriorityPickerModel()

    async def start(self) -> None:
        """Start the clock, if there is one, and reset the picker."""
        self.dut.requests.value = 0
        if ROUND_ROBIN:
            self.dut.take.value = 0
            Clock(self.dut.clk, 2, unit="ns").start(start_high=False)
        await self.reset()

    async def reset(self) -> None:
        """Reset the picker, if it has a state, and its model."""
        if ROUND_ROBIN:
            self.dut.rst.value = 1
            await Timer(4, unit="ns")
            self.dut.rst.value = 0
            self.model = RoundRobinPickerModel(REQUEST_COUNT)

    async def step(self, requests: int, take: bool = True) -> int | None:
        """Put on ``requests`` for a cycle, compare with the model, and return the index."""
        self.dut.requests.value = requests
        if ROUND_ROBIN:
            self.dut.take.value = int(take)
        await Timer(500, unit="ps")  # before the rising edge, which is in the middle of the step
        grant, index = int(self.dut.grant.value), int(self.dut.index.value)
        granted = bool(self.dut.granted.value)
        expected = self.model.pick(bits(requests)) if requests else None
        assert granted == (expected is not None)
        assert bits(grant) == ([] if expected is None else [expected])
        assert index == (expected or 0)
        if expected is not None and take:
            self.model.take(expected)
        await Timer(1500, unit="ps")
        return expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(density=[0.02, 0.3, 0.9])
async def every_grant_is_the_models(dut, density):
    """Random requests, taken or not: grant, index and granted are the model's."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(1000):
        requests = sum((random.random() < density) << n for n in range(REQUEST_COUNT))
        await bench.step(requests, take=random.random() < 0.7)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_pair_is_resolved(dut):
    """Each single request and each pair of requests, in every order of turns they bring."""
    bench = Bench(dut)
    await bench.start()
    for a in range(REQUEST_COUNT):
        for b in range(REQUEST_COUNT):
            await bench.step(1 << a)
            await bench.step(1 << a | 1 << b)
            await bench.step(0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def all_requesting(dut):
    """With all requesting, turns go from 0 up and around, and from 0 again after a reset."""
    bench = Bench(dut)
    await bench.start()
    everyone = (1 << REQUEST_COUNT) - 1
    for number in range(2 * REQUEST_COUNT + 1):
        turn = number % REQUEST_COUNT if ROUND_ROBIN else 0
        assert await bench.step(everyone) == turn
    await bench.reset()
    assert await bench.step(everyone) == 0
