# amaranth: UnusedElaboratable=no
"""SkidBuffer: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import SkidBuffer
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 64])
def test_skid_buffer(data_bytes, run_dir):
    simulate(
        SkidBuffer(data_bytes=data_bytes),
        name="skid_buffer",
        testbench="tb.stream.skid_buffer_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes},
    )


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        SkidBuffer(data_bytes=3)
