# amaranth: UnusedElaboratable=no
"""ReceiveCredits: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import ReceiveCredits
from sim.pcie import ReceiveCreditsModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("source_count", "advertised"),
    [
        (1, (1, 1, 2, 3, 7, 9)),
        (9, (2047, 32767, 200, 500, 5, 300)),
    ],
    ids=["1", "9"],
)
def test_receive_credits(source_count, advertised, run_dir):
    simulate(
        ReceiveCredits(
            advertised=(advertised[:2], advertised[2:4], advertised[4:]),
            source_count=source_count,
        ),
        name="receive_credits",
        testbench="tb.pcie.receive_credits_tb",
        run_dir=run_dir,
        env={
            "SOURCE_COUNT": source_count,
            "ADVERTISED": ",".join(str(amount) for amount in advertised),
        },
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"advertised": ((1, 1), (1, 1))}, "advertised must be 3 pairs"),
        ({"advertised": ((1, 1), (1, 1), (0, 1))}, "header credits must be 1 to 2047, not 0"),
        ({"advertised": ((2048, 1), (1, 1), (1, 1))}, "1 to 2047, not 2048"),
        ({"advertised": ((1, 1), (1, 0), (1, 1))}, "data credits must be 1 to 32767, not 0"),
        ({"source_count": 0}, "source_count must be 1 or more, not 0"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        ReceiveCredits(**{"advertised": ((1, 1), (1, 1), (1, 1)), "source_count": 1, **change})


def test_model_by_hand():
    """Three of eight are inside when the link goes down; the new one begins with five."""
    model = ReceiveCreditsModel([8, 8, 8, 8, 8, 8])
    model.set_link(True)
    model.receive(0, 5)
    model.free(0, 2)
    assert (model.allocated[0], model.room[0]) == (10, 5)
    model.set_link(False)
    assert model.allocated[0] == 5
    model.set_link(True)
    model.free(0, 3)
    assert (model.allocated[0], model.room[0], model.drained) == (8, 8, True)
    with pytest.raises(ValueError, match="returned 1 of 0"):
        model.free(0, 1)
    with pytest.raises(ValueError, match="received 9 with room for 8"):
        model.receive(1, 9)
