# amaranth: UnusedElaboratable=no
"""BridgeFunction: parameter checks, and its cocotb testbenches for each kind of port."""

import pytest

from hdl.pcie import BridgeFunction
from tb.simulate import build, run

PARAMETERS = {
    "port": 1,
    "port_count": 4,
    "vendor_id": 0x1234,
    "device_id": 0xABCD,
    "revision_id": 0x21,
    "max_payload_bytes": 512,
    "max_link_speed": 5,
    "max_link_width": 16,
}

PORTS = [
    {"port": 0, "port_count": 5},
    {"port": 1, "port_count": 2, "max_payload_bytes": 4096, "max_link_speed": 3},
    {"port": 7, "port_count": 8, "max_payload_bytes": 128, "max_link_width": 1},
]


def _simulate(port, testbench, run_dir, seed=1):
    parameters = PARAMETERS | port
    run(
        build(BridgeFunction(**parameters), name="bridge_function"),
        name="bridge_function",
        testbench=testbench,
        run_dir=run_dir,
        env={name.upper(): value for name, value in parameters.items()},
        seed=seed,
    )


def _name(port):
    return f"{port['port']}-{port['port_count']}"


@pytest.mark.parametrize("port", PORTS[:2], ids=_name)
def test_bridge_function(port, run_dir):
    _simulate(port, "tb.pcie.bridge_function_tb", run_dir)


@pytest.mark.parametrize("port", PORTS[:2], ids=_name)
def test_bridge_errors(port, run_dir):
    _simulate(port, "tb.pcie.bridge_errors_tb", run_dir)


@pytest.mark.parametrize("port", PORTS[1:2], ids=_name)
def test_bridge_containment(port, run_dir):
    _simulate(port, "tb.pcie.bridge_containment_tb", run_dir)


@pytest.mark.long
@pytest.mark.parametrize("port", PORTS, ids=_name)
@pytest.mark.parametrize("seed", range(2, 12))
def test_bridge_function_campaign(port, seed, run_dir):
    _simulate(port, "tb.pcie.bridge_function_tb", run_dir, seed=seed)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 1}, "port_count must be 2 to 8, not 1"),
        ({"port_count": 9}, "port_count must be 2 to 8, not 9"),
        ({"port": 4}, "port must be 0 to 3, not 4"),
        ({"port": -1}, "port must be 0 to 3, not -1"),
        ({"vendor_id": 1 << 16}, "vendor_id must be 0 to 65535, not 65536"),
        ({"device_id": -1}, "device_id must be 0 to 65535, not -1"),
        ({"revision_id": 256}, "revision_id must be 0 to 255, not 256"),
        ({"max_payload_bytes": 192}, "max_payload_bytes must be 128 to 4096, not 192"),
        ({"max_link_speed": 0}, "max_link_speed must be 1 to 6, not 0"),
        ({"max_link_width": 3}, "max_link_width must be 1, 2, 4, 8 or 16, not 3"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        BridgeFunction(**(PARAMETERS | change))
