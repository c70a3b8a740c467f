# amaranth: UnusedElaboratable=no
"""PacketQueue: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import PacketQueue
from sim.stream import PacketQueueModel
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, depth", [(1, 6), (8, 100), (64, 14)])
def test_packet_queue(data_bytes, depth, run_dir):
    simulate(
        PacketQueue(data_bytes=data_bytes, depth=depth),
        name="packet_queue",
        testbench="tb.stream.packet_queue_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DEPTH": depth},
    )


@pytest.mark.parametrize("depth", [2, 3, 6, 7, 14, 500, 510, 511, 1130])
def test_rows_are_at_least_depth(depth):
    rows = PacketQueue(data_bytes=1, depth=depth).rows
    assert rows == PacketQueueModel(1, depth).rows >= depth


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="depth must be 2 or more, not 1"):
        PacketQueue(data_bytes=8, depth=1)
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        PacketQueue(data_bytes=3, depth=16)
