# amaranth: UnusedElaboratable=no
"""TlpBuffer: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import TlpBuffer
from sim.pcie import TlpBufferModel
from tb.pcie.receive_chain import ReceiveChain
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("segment_count", "max_payload_bytes"),
    [
        (1, 128),
        (4, 4096),
        pytest.param(2, 512, marks=pytest.mark.long),
        pytest.param(4, 128, marks=pytest.mark.long),
    ],
)
def test_tlp_buffer(segment_count, max_payload_bytes, run_dir):
    advertised = [60, 20000, 60, 20000, 60, 20000]
    simulate(
        ReceiveChain(
            segment_count=segment_count,
            max_payload_bytes=max_payload_bytes,
            advertised=[advertised[:2], advertised[2:4], advertised[4:]],
        ),
        name="receive_chain",
        testbench="tb.pcie.tlp_buffer_tb",
        run_dir=run_dir,
        env={
            "SEGMENT_COUNT": segment_count,
            "MAX_PAYLOAD_BYTES": max_payload_bytes,
            "ADVERTISED": ",".join(str(amount) for amount in advertised),
        },
    )


def test_depth_by_hand():
    """Rows for 4096 bytes and a digest: 129 segments; one row more than beats."""
    assert TlpBuffer(segment_count=4, max_payload_bytes=4096).depth == 34
    assert TlpBuffer(segment_count=1, max_payload_bytes=4096).depth == 130
    assert TlpBuffer(segment_count=4, max_payload_bytes=128).depth == 3


def test_refuses():
    with pytest.raises(ValueError, match="power of two, 128 to 4096, not 100"):
        TlpBuffer(segment_count=1, max_payload_bytes=100)
    with pytest.raises(ValueError, match="segments must be 1, 2 or 4, not 8"):
        TlpBuffer(segment_count=8, max_payload_bytes=128)


def test_model_by_hand():
    model = TlpBufferModel()
    whole = model.receive(
        [("a", True, True), ("b", True, False)], [False, True], ended=False, bad=False
    )
    assert whole == [["a"]]
    whole = model.receive(
        [("c", False, True), ("d", True, False)], [False, True], ended=True, bad=False
    )
    assert whole == [["b", "c"]]
    assert model.receive([None, None], [False, False], ended=True, bad=True) == []
    with pytest.raises(ValueError, match="ended that was not open"):
        model.receive([None, None], [False, False], ended=True, bad=True)
    with pytest.raises(ValueError, match="without sop"):
        model.receive([("e", False, True), None], [False, False], ended=False, bad=False)
