"""Gray code: every step of every width, beside the textbook's formula."""

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hdl.clocking import after_gray, to_gray


@pytest.mark.parametrize("bits", [2, 3, 4, 9])
def test_each_step_changes_one_bit_and_follows_the_binary_count(bits):
    code, odd, after = Signal(bits), Signal(), Signal(bits)
    m = Module()
    m.d.comb += after.eq(after_gray(code, odd))

    async def steps(ctx):
        seen = []
        for number in range(1 << bits):
            value = number ^ (number >> 1)
            assert to_gray(number) == value
            ctx.set(code, value)
            ctx.set(odd, number & 1)
            seen.append(ctx.get(after))
            assert (seen[-1] ^ value).bit_count() == 1
        expected = [number ^ (number >> 1) for number in range(1 << bits)]
        assert seen == [*expected[1:], 0]

    simulator = Simulator(m)
    simulator.add_testbench(steps)
    simulator.run()
