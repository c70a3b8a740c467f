# amaranth: UnusedElaboratable=no
"""Broadcast: parameter checks and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Broadcast
from tb.simulate import simulate


@pytest.mark.parametrize(("port_count", "data_bytes"), [(2, 1), (5, 64)])
def test_broadcast(port_count, data_bytes, run_dir):
    simulate(
        Broadcast(port_count=port_count, data_bytes=data_bytes),
        name="broadcast",
        testbench="tb.stream.broadcast_tb",
        run_dir=run_dir,
        env={"PORT_COUNT": port_count, "DATA_BYTES": data_bytes},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"port_count": 1}, "2 or more, not 1"), ({"data_bytes": 6}, "power of two, not 6")],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Broadcast(**{"port_count": 2, "data_bytes": 8, **change})
