"""AtomicUnit: its cocotb testbench at several sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.atomic_unit import AtomicUnit
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, queue_pairs, resources", [(8, 16, 16), (128, 8, 2)])
def test_atomic_unit(data_bytes, queue_pairs, resources, run_dir):
    config = small(data_bytes, queue_pairs=queue_pairs, resources=resources)
    simulate(
        AtomicUnit(config=config),
        name="atomic_unit",
        testbench="tb.roce.atomic_unit_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )
