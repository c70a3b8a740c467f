# amaranth: UnusedElaboratable=no
"""PriorityPicker and RoundRobinPicker: parameter checks, models and cocotb testbench."""

import pytest

from hdl.bits import PriorityPicker, RoundRobinPicker
from sim.bits import RoundRobinPickerModel
from tb.simulate import simulate


@pytest.mark.parametrize("request_count", [2, 64])
@pytest.mark.parametrize("picker", ["priority", "round_robin"])
def test_picker(picker, request_count, run_dir):
    make = {"priority": PriorityPicker, "round_robin": RoundRobinPicker}[picker]
    simulate(
        make(request_count=request_count),
        name=f"{picker}_picker",
        testbench="tb.bits.picker_tb",
        run_dir=run_dir,
        env={"REQUEST_COUNT": request_count, "PICKER": picker},
    )


@pytest.mark.parametrize("make", [PriorityPicker, RoundRobinPicker])
def test_refuses_too_few(make):
    with pytest.raises(ValueError, match="2 or more, not 1"):
        make(request_count=1)


def test_round_robin_model_by_hand():
    model = RoundRobinPickerModel(4)
    taken = []
    for waiting in [{0, 2, 3}, {0, 2, 3}, {0, 1}, {0, 1}, {1, 2}]:
        taken.append(model.pick(waiting))
        model.take(taken[-1])
    assert taken == [0, 2, 0, 1, 2]
