# amaranth: UnusedElaboratable=no
"""SharedCredits: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import SharedCredits
from sim.pcie import SharedCreditsModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("column_count", "segment_count", "headers"), [(1, 1, 1), (2, 1, 64), (7, 4, 127)]
)
def test_shared_credits(column_count, segment_count, headers, run_dir):
    sizes = {"column_count": column_count, "segment_count": segment_count, "headers": headers}
    simulate(
        SharedCredits(**sizes),
        name="shared_credits",
        testbench="tb.pcie.shared_credits_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.parametrize("name", ["column_count", "segment_count", "headers"])
def test_refuses(name):
    sizes = {"column_count": 1, "segment_count": 1, "headers": 1}
    with pytest.raises(ValueError, match=f"{name} must be 1 or more, not 0"):
        SharedCredits(**{**sizes, name: 0})


def test_model_by_hand():
    """Of two broadcasts the first is gone when both columns have sent it."""
    model = SharedCreditsModel(2, 2)
    model.enter()
    model.enter()
    with pytest.raises(ValueError, match="a broadcast more than 2"):
        model.enter()
    model.leave(0)
    model.leave(0)
    assert (model.waiting(0), model.waiting(1), model.free()) == (0, 2, False)
    model.leave(1)
    assert (model.free(), model.free()) == (True, False)
    model.leave(1)
    assert (model.free(), model.inside) == (True, [])
