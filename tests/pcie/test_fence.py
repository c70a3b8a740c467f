"""Fence: its model, and its cocotb testbench."""

from hdl.pcie import Fence
from sim.pcie import FenceModel
from tb.simulate import simulate


def test_fence(run_dir):
    simulate(Fence(shape=8), name="fence", testbench="tb.pcie.fence_tb", run_dir=run_dir)


def test_model_by_hand():
    """Two rows are in front of an item; a third behind it does not count."""
    model = FenceModel()
    model.came = 2
    assert not model.passes
    model.offer()
    model.came = 3
    model.offer()
    model.left = 1
    assert not model.passes
    model.left = 2
    assert model.passes
    model.forget()
    model.offer()
    assert not model.passes
