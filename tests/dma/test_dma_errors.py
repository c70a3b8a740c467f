"""Dma among errors: its cocotb campaign at several sizes."""

import pytest

from hdl.dma import Dma
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("data_bytes", "requests"),
    [
        (32, 5000),
        (8, 500),
        (128, 1000),
        pytest.param(32, 100_000, marks=pytest.mark.long),
        pytest.param(128, 100_000, marks=pytest.mark.long),
    ],
)
def test_dma_errors(data_bytes, requests, run_dir):
    sizes = {"data_bytes": data_bytes, "tag_count": 64 if data_bytes > 32 else 32}
    sizes["slot_bytes"] = 512
    simulate(
        Dma(**sizes),
        name="dma",
        testbench="tb.dma.dma_errors_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()} | {"REQUESTS": requests},
    )
