# amaranth: UnusedElaboratable=no
"""TlpCheck: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import TlpCheck
from sim.pcie import Kind, Segment, Tlp, TlpCheckModel, Verdict
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
def test_tlp_check(segment_count, max_payload_bytes, run_dir):
    simulate(
        TlpCheck(segment_count=segment_count, max_payload_bytes=max_payload_bytes),
        name="tlp_check",
        testbench="tb.pcie.tlp_check_tb",
        run_dir=run_dir,
        env={"SEGMENT_COUNT": segment_count, "MAX_PAYLOAD_BYTES": max_payload_bytes},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"max_payload_bytes": 64}, "power of two, 128 to 4096, not 64"),
        ({"max_payload_bytes": 300}, "power of two, 128 to 4096, not 300"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        TlpCheck(**{"segment_count": 1, "max_payload_bytes": 128, **change})


def segment(*, sop=False, eop=False, empty=0, nullified=False, header=None):
    read = Tlp(Kind.MEMORY, length=1, first_be=15)
    return Segment(sop, eop, empty, nullified, header or read)


WRITE = Tlp(Kind.MEMORY, data=b"", length=10, first_be=15, last_be=15)
FIRST = segment(sop=True, header=WRITE)
LAST = segment(eop=True, empty=6)
READ = segment(sop=True, eop=True, empty=8)


@pytest.mark.parametrize(
    ("beats", "verdicts"),
    [
        ([[FIRST, LAST]], "G"),
        ([[None, FIRST], [LAST, READ]], "GG"),
        ([[FIRST, None]], "M"),
        ([[FIRST, READ]], "MG"),
        ([[READ, FIRST], [READ, None]], "GMG"),
        ([[FIRST, segment()], [segment(), LAST], [READ, None]], "MG"),
        ([[LAST, LAST]], "MM"),
        ([[segment(), segment()], [LAST, READ]], "MG"),
        ([[segment(), None], [LAST, READ]], "MMG"),
        ([[FIRST, segment(eop=True, nullified=True)]], "N"),
        ([[FIRST, segment(eop=True, empty=5)]], "M"),
    ],
)
def test_model_by_hand(beats, verdicts):
    """Framing at two segments a beat; the write has 10 DW, the read none."""
    model = TlpCheckModel(128)
    found = [tlp.verdict.name[0] for beat in beats for tlp in model.receive(beat, [9] * 6)]
    assert "".join(found) == verdicts


def test_model_counts_credits():
    model = TlpCheckModel(128)
    found = model.receive([READ, READ, FIRST, LAST], [1, 3, 1, 0, 0, 0])
    assert [tlp.verdict for tlp in found] == [Verdict.GOOD, Verdict.OVERFLOW, Verdict.GOOD]
    found = model.receive([FIRST, LAST], [1, 2, 0, 0, 0, 0])
    assert [tlp.verdict for tlp in found] == [Verdict.OVERFLOW]
