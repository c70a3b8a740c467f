# amaranth: UnusedElaboratable=no
"""DelayLine: parameter checks, and its cocotb testbench on lines of every construction."""

import json

import pytest
from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import DelayLine
from tb.simulate import simulate

CYCLES = [1, 2, 3, 4, 5, 6, 17, 32, 33, 34, 35, 100]


class Lines(wiring.Component):
    """One line of each length in CYCLES, all with the same input."""

    i: Signal
    o: list[Signal]

    def __init__(self, shape):
        self.shape = shape
        super().__init__({"i": In(shape), "o": Out(shape).array(len(CYCLES))})

    def elaborate(self, platform):
        m = Module()
        for output, cycles in zip(self.o, CYCLES, strict=True):
            line = DelayLine(shape=self.shape, cycles=cycles)
            m.submodules[f"line_{cycles}"] = line
            m.d.comb += [line.i.eq(self.i), output.eq(line.o)]
        return m


@pytest.mark.parametrize(
    "shape", [1, data.StructLayout({"count": 7, "address": 64})], ids=["bit", "struct"]
)
def test_delay_line(shape, run_dir):
    width = shape if isinstance(shape, int) else shape.size
    simulate(
        Lines(shape),
        name="lines",
        testbench="tb.memory.delay_line_tb",
        run_dir=run_dir,
        env={"CYCLES": json.dumps(CYCLES), "WIDTH": width},
    )


@pytest.mark.parametrize(("shape", "cycles"), [(8, 0), (8, -1), (0, 3)])
def test_refused_parameters(shape, cycles):
    with pytest.raises(ValueError, match=r"must be 1"):
        DelayLine(shape=shape, cycles=cycles)
