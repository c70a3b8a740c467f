# amaranth: UnusedElaboratable=no
"""EventCounter: parameter checks, and its cocotb testbench."""

import pytest

from hdl.register import EventCounter
from sim.register import EventCounterModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("bits", "stage_count", "increment_max", "saturates"),
    [(8, 2, 5, False), (9, 3, 7, True), (64, 2, 2**32 - 1, False)],
)
def test_event_counter(bits, stage_count, increment_max, saturates, run_dir):
    simulate(
        EventCounter(
            bits=bits, stage_count=stage_count, increment_max=increment_max, saturates=saturates
        ),
        name="event_counter",
        testbench="tb.register.event_counter_tb",
        run_dir=run_dir,
        env={
            "BITS": bits,
            "STAGE_COUNT": stage_count,
            "INCREMENT_MAX": increment_max,
            "SATURATES": saturates,
        },
    )


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"stage_count": 0}, "stage_count must be 1 or more, not 0"),
        ({"bits": 7}, "bits must be a multiple of 2 stages, not 7"),
        ({"bits": 0}, "bits must be a multiple of 2 stages, not 0"),
        ({"increment_max": 0}, "increment_max must be 1 to 15"),
        ({"increment_max": 16}, "increment_max must be 1 to 15"),
    ],
)
def test_parameters_are_checked(parameters, rule):
    good = {"bits": 8, "stage_count": 2, "increment_max": 1, "saturates": False}
    with pytest.raises(ValueError, match=rule):
        EventCounter(**{**good, **parameters})


def test_model_against_published_rollover():
    """RFC 2578 7.1.6: a Counter wraps to zero at 2^32 or 2^64, as ifInOctets does."""
    model = EventCounterModel(bits=32, saturates=False)
    assert model.count([2**32 - 1, 1, 5]) == [2**32 - 1, 0, 5]
    model = EventCounterModel(bits=32, saturates=True)
    assert model.count([2**32 - 2, 1, 5]) == [2**32 - 2, 2**32 - 1, 2**32 - 1]
