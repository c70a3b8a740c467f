# amaranth: UnusedElaboratable=no
"""Gate: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Gate
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 64])
def test_gate(data_bytes, run_dir):
    simulate(
        Gate(data_bytes=data_bytes),
        name="gate",
        testbench="tb.stream.gate_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes},
    )


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        Gate(data_bytes=3)
