# amaranth: UnusedElaboratable=no
"""Switch: the random campaign at several sizes, what goes wrong, and parameter checks."""

import pytest

from hdl.pcie import Switch
from tb.pcie.simulators import switch_simulator
from tb.simulate import run

#: Sizes of the long campaign; the first two have simulators that the other tests need, too.
SIZES = [(3, 1), (4, 4), (2, 1), (5, 2), (6, 1), (7, 1), (8, 1)]


def _run(ports, segments, run_dir, *, testbench="switch", tlps=0, seed=1):
    run(
        switch_simulator(ports, segments),
        name="switch",
        testbench=f"tb.pcie.{testbench}_tb",
        run_dir=run_dir,
        env={"PORTS": ports, "SEGMENTS": segments, "TLPS": tlps},
        seed=seed,
    )


@pytest.mark.parametrize(("ports", "segments"), SIZES[:2])
def test_campaign(ports, segments, run_dir):
    _run(ports, segments, run_dir, tlps=10_000)


@pytest.mark.long
@pytest.mark.parametrize(("ports", "segments"), SIZES)
def test_long_campaign(ports, segments, run_dir):
    """A million TLPs over all sizes."""
    _run(ports, segments, run_dir, tlps=-(-1_000_000 // len(SIZES)), seed=2)


@pytest.mark.parametrize("testbench", ["switch_links", "switch_errors", "switch_messages"])
def test_when_things_go_wrong(testbench, run_dir):
    _run(3, 1, run_dir, testbench=testbench)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"ports": 1}, "ports must be 2 to 8, not 1"),
        ({"ports": 9}, "ports must be 2 to 8, not 9"),
        ({"segments": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"credits": ((1, 32), (1, 1))}, "credits must be 3 pairs"),
        ({"credits": ((128, 32), (1, 1), (1, 32))}, "1 to 127 headers"),
        ({"credits": ((1, 31), (1, 1), (1, 32))}, "suffice for a payload of 512 bytes"),
        ({"max_payload_bytes": 300}, "max_payload_bytes must be"),
        ({"vendor_id": 1 << 16}, "vendor_id must be 0 to 65535"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Switch(**{"ports": 3, "segments": 1, **change})
