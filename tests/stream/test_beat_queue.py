# amaranth: UnusedElaboratable=no
"""BeatQueue: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import BeatQueue
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, depth", [(1, 16), (64, 512)])
def test_beat_queue(data_bytes, depth, run_dir):
    simulate(
        BeatQueue(data_bytes=data_bytes, depth=depth),
        name="beat_queue",
        testbench="tb.stream.beat_queue_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DEPTH": depth},
    )


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="depth must be 2 or more, not 1"):
        BeatQueue(data_bytes=8, depth=1)
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        BeatQueue(data_bytes=3, depth=16)
