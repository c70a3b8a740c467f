"""A root complex and endpoints that others wrote, with the switch between; and with two."""

import pytest

from tb.pcie.simulators import switch_simulator, tree_simulator
from tb.simulate import run


@pytest.mark.parametrize(
    ("ports", "segments"), [(3, 1), pytest.param(4, 4, marks=pytest.mark.long)]
)
def test_switch(ports, segments, run_dir):
    run(
        switch_simulator(ports, segments),
        name="switch",
        testbench="tb.pcie.enumeration_tb",
        run_dir=run_dir,
        env={
            "PORTS": ports,
            "SEGMENTS": segments,
            "BRIDGES": f"1,{ports - 1}",
            "LOWER": ports,
        },
    )


def test_tree(run_dir):
    run(
        tree_simulator(3, 1),
        name="switch_tree",
        testbench="tb.pcie.enumeration_tb",
        run_dir=run_dir,
        env={"PORTS": 4, "SEGMENTS": 1, "BRIDGES": "2,4", "LOWER": 2},
    )
