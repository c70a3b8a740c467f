# amaranth: UnusedElaboratable=no
"""TlpPacker: parameter checks, model, and its cocotb testbench at each width."""

import pytest

from hdl.pcie import TlpPacker
from sim.pcie import PackingError, Piece, TlpPackerModel
from tb.simulate import simulate


@pytest.mark.parametrize("segment_count", [1, 4, pytest.param(2, marks=pytest.mark.long)])
def test_tlp_packer(segment_count, run_dir):
    simulate(
        TlpPacker(segment_count=segment_count),
        name="tlp_packer",
        testbench="tb.pcie.tlp_packer_tb",
        run_dir=run_dir,
        env={"SEGMENT_COUNT": segment_count},
    )


def test_refuses():
    with pytest.raises(ValueError, match="1, 2 or 4, not 3"):
        TlpPacker(segment_count=3)


def test_model_by_hand():
    """Short beats only where they may be, nothing out of order."""
    first, middle, last = Piece(1, eop=False), Piece(2, eop=False), Piece(3, eop=True)
    short = Piece(4, eop=True)
    model = TlpPackerModel(2)
    model.put([first, middle, last, short])
    model.beat([first, middle], alone=False)
    model.beat([last, None], alone=False)  # within a TLP, its end does not wait
    with pytest.raises(PackingError, match="more were coming"):
        model.beat([short, None], alone=False)
    model.put([first])
    with pytest.raises(PackingError, match="no eop"):
        model.beat([first, None], alone=True)
    model.clear()
    model.put([short, last])
    with pytest.raises(PackingError, match="gap"):
        model.beat([None, short], alone=True)
    with pytest.raises(PackingError, match="instead of"):
        model.beat([last, short], alone=True)
