# amaranth: UnusedElaboratable=no
"""CreditGate: model and its cocotb testbench."""

import pytest

from hdl.pcie import CreditGate
from sim.pcie import CreditGateModel
from tb.simulate import simulate


def test_credit_gate(run_dir):
    simulate(CreditGate(), name="credit_gate", testbench="tb.pcie.credit_gate_tb", run_dir=run_dir)


def test_model_by_hand():
    """The wrap of an 8-bit field: 250 + 12 is 6."""
    model = CreditGateModel(0, [False] * 6)
    assert model.update(0, 100)
    model.spend(0, 100)
    assert model.update(0, 200)
    model.spend(0, 100)
    assert model.update(0, 250)
    assert model.update(0, 6)
    assert model.available(0) == 62
    assert not model.update(0, 5)
    assert model.available(0) == 62
    with pytest.raises(ValueError, match="spent 63 of 62"):
        model.spend(0, 63)


def test_model_scaled_and_infinite():
    model = CreditGateModel(2, [False, False, True, False, False, False])
    assert model.update(1, 16 * 5 + 3)
    assert model.available(1) == 80
    assert model.available(2) is None
    assert not model.update(1, 16 * 4)
