# amaranth: UnusedElaboratable=no
"""PacketMux: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import PacketMux
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 64])
@pytest.mark.parametrize("port_count", [2, 3])
def test_packet_mux(port_count, data_bytes, run_dir):
    simulate(
        PacketMux(port_count=port_count, data_bytes=data_bytes),
        name="packet_mux",
        testbench="tb.stream.packet_mux_tb",
        run_dir=run_dir,
        env={"PORT_COUNT": port_count, "DATA_BYTES": data_bytes},
    )
