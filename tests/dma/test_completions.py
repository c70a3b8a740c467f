# amaranth: UnusedElaboratable=no
"""Completions: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import Completions
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("segment_count", "tag_count", "slot_bytes"),
    [
        (1, 8, 256),
        (4, 16, 512),
        pytest.param(2, 10, 128, marks=pytest.mark.long),
        pytest.param(4, 4, 4096, marks=pytest.mark.long),
        pytest.param(4, 64, 128, marks=pytest.mark.long),
    ],
)
def test_completions(segment_count, tag_count, slot_bytes, run_dir):
    simulate(
        Completions(segment_count=segment_count, tag_count=tag_count, slot_bytes=slot_bytes),
        name="completions",
        testbench="tb.dma.completions_tb",
        run_dir=run_dir,
        env={
            "SEGMENT_COUNT": segment_count,
            "TAG_COUNT": tag_count,
            "SLOT_BYTES": slot_bytes,
        },
    )
