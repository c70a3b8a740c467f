"""Writer: its cocotb testbenches, at the narrowest and the widest beats."""

import pytest

from hdl.roce.writer import Writer
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("testbench", ["writer_tb", "writer_claim_tb", "writer_pace_tb"])
@pytest.mark.parametrize("data_bytes", [8, 128])
def test_writer(data_bytes, testbench, run_dir):
    simulate(
        Writer(config=small(data_bytes)),
        name="writer",
        testbench=f"tb.roce.{testbench}",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes},
    )
