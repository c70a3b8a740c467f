# amaranth: UnusedElaboratable=no
"""PacketJoin: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import PacketJoin
from sim.stream import Packet, join_packets
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 2, 8, 128])
def test_packet_join(data_bytes, run_dir):
    simulate(
        PacketJoin(data_bytes=data_bytes),
        name="packet_join",
        testbench="tb.stream.packet_join_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes},
    )


def test_refused_parameters():
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        PacketJoin(data_bytes=3)


def test_model():
    assert join_packets(Packet(b"ab"), Packet(b"c")) == Packet(b"abc")
    assert join_packets(Packet(b"ab", True), Packet(b"c")) == Packet(b"abc", True)
    assert join_packets(Packet(b"ab"), Packet(b"c", True)) == Packet(b"abc", True)
