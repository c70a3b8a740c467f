"""Gather: its cocotb testbench, beside a Translator, at the two sizes that matter."""

import json
from dataclasses import asdict

import pytest

from tb.roce.sizes import small
from tb.roce.translated_gather import TranslatedGather
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_gather(data_bytes, run_dir):
    config = small(data_bytes)
    simulate(
        TranslatedGather(config=config),
        name="gather",
        testbench="tb.roce.gather_tb,tb.roce.gather_windows_tb,tb.roce.gather_fill_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )
