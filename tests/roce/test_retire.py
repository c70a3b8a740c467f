"""Retire ends each work request once, in order."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.retire import Retire
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_retire(data_bytes, run_dir):
    config = small(data_bytes, send_requests=8)
    simulate(
        Retire(config=config),
        name="retire",
        testbench="tb.roce.retire_tb",
        run_dir=run_dir,
        env={"STEPS": 2000, "CONFIG": json.dumps(asdict(config))},
    )
