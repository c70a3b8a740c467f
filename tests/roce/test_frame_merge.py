"""FrameMerge, alone and in front of FrameBuilder: their cocotb testbenches at several sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.frame_merge import FrameMerge
from tb.roce.merged_builder import MergedBuilder
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_frame_merge(data_bytes, run_dir):
    config = small(data_bytes, queue_pairs=4)
    simulate(
        FrameMerge(config=config),
        name="frame_merge",
        testbench="tb.roce.frame_merge_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_merged_builder(data_bytes, run_dir):
    config = small(data_bytes, queue_pairs=4)
    builder = MergedBuilder(config=config, rows=8)
    simulate(
        builder,
        name="merged_builder",
        testbench="tb.roce.merged_builder_tb",
        run_dir=run_dir,
        env={"ROWS": 8, "LATENCY": builder.latency, "CONFIG": json.dumps(asdict(config))},
    )
