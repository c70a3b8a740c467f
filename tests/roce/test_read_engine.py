"""ReadEngine: its cocotb testbench at the two sizes that matter."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.read_engine import ReadEngine
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, queue_pairs", [(8, 16), (128, 64)])
def test_read_engine(data_bytes, queue_pairs, run_dir):
    config = small(data_bytes, queue_pairs=queue_pairs, resources=16)
    simulate(
        ReadEngine(config=config),
        name="read_engine",
        testbench="tb.roce.read_engine_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )
