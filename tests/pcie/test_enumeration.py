"""A root complex and endpoints that others wrote, with the switch between; and with two."""

import pytest

from hdl.pcie import Switch
from tb.pcie.switch_tree import SwitchTree
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("ports", "segments"), [(3, 1), pytest.param(4, 2, marks=pytest.mark.long)]
)
def test_switch(ports, segments, run_dir):
    simulate(
        Switch(ports=ports, segments=segments),
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
    simulate(
        SwitchTree(ports=3, segments=1),
        name="switch_tree",
        testbench="tb.pcie.enumeration_tb",
        run_dir=run_dir,
        env={"PORTS": 4, "SEGMENTS": 1, "BRIDGES": "2,4", "LOWER": 2},
    )
