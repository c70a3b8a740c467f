# amaranth: UnusedElaboratable=no
"""PacketMux: parameter checks, model, and its cocotb testbench at several sizes."""

import random
from collections import Counter

import pytest

from hdl.stream import PacketMux
from sim.stream import PacketMuxModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("port_count", "data_bytes", "policy", "weights"),
    [
        (2, 1, "round_robin", ()),
        (3, 64, "round_robin", ()),
        (16, 8, "round_robin", ()),
        (3, 8, "strict", ()),
        (5, 1, "weighted", (3, 1, 4, 1, 7)),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_packet_mux(port_count, data_bytes, policy, weights, run_dir):
    simulate(
        PacketMux(port_count=port_count, data_bytes=data_bytes, policy=policy, weights=weights),
        name="packet_mux",
        testbench="tb.stream.packet_mux_tb",
        run_dir=run_dir,
        env={
            "PORT_COUNT": port_count,
            "DATA_BYTES": data_bytes,
            "POLICY": policy,
            "WEIGHTS": list(weights),
        },
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 1}, "port_count must be 2 or more, not 1"),
        ({"data_bytes": 3}, "power of two, not 3"),
        ({"policy": "fair"}, "not 'fair'"),
        ({"weights": (1, 2)}, "none otherwise"),
        ({"policy": "weighted"}, "one for each port"),
        ({"policy": "weighted", "weights": (1, 2, 3)}, "one for each port"),
        ({"policy": "weighted", "weights": (1, 0)}, "weights must be 1 or more"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        PacketMux(**{"port_count": 2, "data_bytes": 8, **change})


def test_weighted_model_by_hand():
    """Weights 1, 2 and 3: a round, its end, and a new round for want of credit."""
    model = PacketMuxModel(3, "weighted", (1, 2, 3))
    assert [model.grant({0, 1, 2}) for _ in range(6)] == [0, 1, 2, 1, 2, 2]
    assert [model.grant({0, 1}) for _ in range(4)] == [0, 1, 1, 0]
    assert [model.grant({2}) for _ in range(7)] == [2] * 7
    model = PacketMuxModel(3, "weighted", (1, 2, 3))
    counts = Counter(model.grant({0, 1, 2}) for _ in range(600))
    assert counts == {0: 100, 1: 200, 2: 300}


def test_weighted_model_keeps_its_promise():
    """With ports that come and go, no port is passed over more often than the block says."""
    weights = (3, 1, 4, 1, 7)
    model = PacketMuxModel(5, "weighted", weights)
    chooser = random.Random(1)
    passed_over = [0] * 5
    waiting: set[int] = set()
    for _ in range(20000):
        waiting |= {port for port in range(5) if chooser.random() < 0.2}
        if not waiting:
            continue
        granted = model.grant(waiting)
        for port in waiting - {granted}:
            passed_over[port] += 1
            assert passed_over[port] <= sum(weights) - weights[port] + 4
        passed_over[granted] = 0
        if chooser.random() < 0.5:
            waiting.remove(granted)


def test_strict_model_by_hand():
    model = PacketMuxModel(3, "strict")
    assert [model.grant(ports) for ports in ({0, 1, 2}, {0, 2}, {1, 2}, {2})] == [0, 0, 1, 2]
