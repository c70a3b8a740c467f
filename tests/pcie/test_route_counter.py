# amaranth: UnusedElaboratable=no
"""RouteCounter: parameter checks, model, and its cocotb testbench."""

import pytest

from hdl.pcie import RouteCounter
from sim.pcie import Action, Decision, Rule, count_routes
from tb.simulate import simulate


@pytest.mark.parametrize(("port_count", "segment_count"), [(3, 1), (6, 4)])
def test_route_counter(port_count, segment_count, run_dir):
    simulate(
        RouteCounter(port_count=port_count, segment_count=segment_count),
        name="route_counter",
        testbench="tb.pcie.route_counter_tb",
        run_dir=run_dir,
        env={"PORT_COUNT": port_count, "SEGMENT_COUNT": segment_count},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 1}, "port_count must be 2 to 8, not 1"),
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        RouteCounter(**{"port_count": 4, "segment_count": 1, **change})


def test_model_by_hand():
    decisions = [
        Decision(Action.FORWARD, Rule.PEER_DIRECT, egress=2),
        Decision(Action.FORWARD, Rule.ACS_REQUEST_REDIRECT, egress=0),
        Decision(Action.FORWARD, Rule.ACS_UPSTREAM_FORWARD, egress=0),
        Decision(Action.LOCAL, Rule.CONFIGURATION, local=True),
        Decision(Action.UNSUPPORTED, Rule.NO_BUS, local=True),
        Decision(Action.ABORT, Rule.ACS_EGRESS_CONTROL),
    ]
    assert count_routes(decisions) == {
        "forwarded": 3,
        "redirected": 1,
        "served": 1,
        "answered": 1,
        "dropped": 1,
        "blocked": 1,
    }
