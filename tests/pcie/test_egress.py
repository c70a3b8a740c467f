# amaranth: UnusedElaboratable=no
"""Egress: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.pcie import Egress
from sim.pcie import EgressError, EgressModel, TlpClass
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("source_count", "segment_count", "quantum_rows"),
    [(2, 1, 16), (3, 4, 16), pytest.param(3, 2, 3, marks=pytest.mark.long)],
)
def test_egress(source_count, segment_count, quantum_rows, run_dir):
    simulate(
        Egress(source_count=source_count, segment_count=segment_count, quantum_rows=quantum_rows),
        name="egress",
        testbench="tb.pcie.egress_tb",
        run_dir=run_dir,
        env={
            "SOURCE_COUNT": source_count,
            "SEGMENT_COUNT": segment_count,
            "QUANTUM_ROWS": quantum_rows,
        },
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"source_count": 1}, "source_count must be 2 to 9, not 1"),
        ({"source_count": 10}, "source_count must be 2 to 9, not 10"),
        ({"segment_count": 3}, "1, 2 or 4, not 3"),
        ({"quantum_rows": 0}, "quantum_rows must be 1 or more, not 0"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Egress(**{"source_count": 3, "segment_count": 2, **change})


def test_model_by_hand():
    """Order within a queue, credits, and what a dead link makes of the queues."""
    model = EgressModel()
    posted, non_posted = TlpClass.POSTED, TlpClass.NON_POSTED
    for name in "abc":
        model.arrive(0, posted, name, 2)
    model.grant(posted, 2, 3)
    with pytest.raises(EgressError, match="first was a"):
        model.send(0, posted, "b")
    model.send(0, posted, "a")
    with pytest.raises(EgressError, match="without POSTED credits"):
        model.send(0, posted, "b")
    for name in "xy":
        model.arrive(1, non_posted, name, 0)
    model.cut()
    model.arrive(0, posted, "d", 0)
    model.bury(1, "x")
    assert model.left() == ["d", "y"]
    model.grant(posted, 9, 9)
    model.grant(non_posted, 9, 9)
    model.send(0, posted, "d")
    model.send(1, non_posted, "y")
    with pytest.raises(EgressError, match="first was nothing"):
        model.send(0, posted, "c")
