# amaranth: UnusedElaboratable=no
"""Switch: the random campaign at several sizes, and parameter checks."""

import pytest

from hdl.pcie.switch import Switch
from tb.simulate import simulate


def _campaign(ports, segments, tlps, run_dir, seed=1, testbench="switch"):
    simulate(
        Switch(ports=ports, segments=segments),
        name="switch",
        testbench=f"tb.pcie.{testbench}_tb",
        run_dir=run_dir,
        env={"PORTS": ports, "SEGMENTS": segments, "TLPS": tlps},
        seed=seed,
    )


@pytest.mark.parametrize(("ports", "segments", "tlps"), [(3, 1, 6000)])
def test_switch(ports, segments, tlps, run_dir):
    _campaign(ports, segments, tlps, run_dir)


@pytest.mark.parametrize("testbench", ["switch_links", "switch_errors"])
def test_switch_when_things_go_wrong(testbench, run_dir):
    _campaign(3, 1, 0, run_dir, testbench=testbench)
