# amaranth: UnusedElaboratable=no
"""Switch: the random campaign at several sizes, and parameter checks."""

import pytest

from hdl.pcie.switch import Switch
from tb.simulate import simulate


def _campaign(ports, segments, tlps, run_dir, seed=1):
    simulate(
        Switch(ports=ports, segments=segments),
        name="switch",
        testbench="tb.pcie.switch_tb",
        run_dir=run_dir,
        env={"PORTS": ports, "SEGMENTS": segments, "TLPS": tlps},
        seed=seed,
    )


@pytest.mark.parametrize(("ports", "segments", "tlps"), [(3, 1, 6000)])
def test_switch(ports, segments, tlps, run_dir):
    _campaign(ports, segments, tlps, run_dir)
