# amaranth: UnusedElaboratable=no
"""TimeWheel: parameter checks, and its cocotb testbench at some sizes."""

import pytest

from hdl.roce.time_wheel import TimeWheel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("members", "slots", "time_bits", "grain_bits"),
    [(2, 2, 8, 3), (16, 8, 12, 3), (100, 64, 16, 4)],
)
def test_time_wheel(members, slots, time_bits, grain_bits, run_dir):
    sizes = {"members": members, "slots": slots, "time_bits": time_bits, "grain_bits": grain_bits}
    simulate(
        TimeWheel(**sizes),
        name="time_wheel",
        testbench="tb.roce.time_wheel_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ((1, 8, 12, 3), "members must be 2 or more, not 1"),
        ((4, 6, 12, 3), "slots must be a power of two, 2 or more, not 6"),
        ((4, 8, 12, -1), "grain_bits must be 0 or more and leave room for 32 slots in 12 bits"),
        ((4, 8, 12, 8), "grain_bits must be 0 or more and leave room for 32 slots in 12 bits"),
    ],
)
def test_refused_parameters(parameters, why):
    members, slots, time_bits, grain_bits = parameters
    with pytest.raises(ValueError, match=why):
        TimeWheel(members=members, slots=slots, time_bits=time_bits, grain_bits=grain_bits)
