# amaranth: UnusedElaboratable=no
"""SentReads: parameter check, model, and its cocotb testbench."""

import pytest

from hdl.dma import SentReads
from sim.dma import SentReadsModel
from tb.simulate import simulate


@pytest.mark.parametrize(("lane_count", "most"), [(1, 5), (4, 127)])
def test_sent_reads(lane_count, most, run_dir):
    simulate(
        SentReads(lane_count=lane_count, most=most),
        name="sent_reads",
        testbench="tb.dma.sent_reads_tb",
        run_dir=run_dir,
        env={"LANES": lane_count, "MOST": most},
    )


def test_refuses():
    with pytest.raises(ValueError, match="most must be 1 or more, not 0"):
        SentReads(lane_count=1, most=0)


def test_model_by_hand():
    model = SentReadsModel()
    assert model.is_right()
    model.take()
    assert model.is_right()
    assert not model.is_right()
    model.take()
    model.send(1)
    assert model.is_right()
    assert not model.is_right()
    model.clear()
    assert model.is_right()
