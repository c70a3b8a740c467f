# amaranth: UnusedElaboratable=no
"""FrameBuilder: parameter checks, and its cocotb testbench at several sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.frame_builder import FrameBuilder
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("data_bytes", "rows"),
    [
        (8, 8),
        pytest.param(16, 4, marks=pytest.mark.long),
        pytest.param(64, 4, marks=pytest.mark.long),
        (128, 8),
    ],
)
def test_frame_builder(data_bytes, rows, run_dir):
    config = small(data_bytes, queue_pairs=4)
    builder = FrameBuilder(config=config, rows=rows)
    simulate(
        builder,
        name="frame_builder",
        testbench="tb.roce.frame_builder_tb",
        run_dir=run_dir,
        env={"ROWS": rows, "LATENCY": builder.latency, "CONFIG": json.dumps(asdict(config))},
    )


@pytest.mark.parametrize("rows", [2, 6, 16])
def test_refused_rows(rows):
    with pytest.raises(ValueError, match=f"rows must be 4 or 8, not {rows}"):
        FrameBuilder(config=small(8, queue_pairs=4), rows=rows)
