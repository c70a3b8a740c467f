# amaranth: UnusedElaboratable=no
"""PacketDemux: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import PacketDemux
from sim.stream import Packet, PacketDemuxModel
from tb.simulate import simulate


@pytest.mark.parametrize(("port_count", "data_bytes"), [(2, 1), (3, 64), (8, 8)])
def test_packet_demux(port_count, data_bytes, run_dir):
    simulate(
        PacketDemux(port_count=port_count, data_bytes=data_bytes),
        name="packet_demux",
        testbench="tb.stream.packet_demux_tb",
        run_dir=run_dir,
        env={"PORT_COUNT": port_count, "DATA_BYTES": data_bytes},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"port_count": 1}, "2 or more, not 1"), ({"data_bytes": 6}, "power of two, not 6")],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        PacketDemux(**{"port_count": 2, "data_bytes": 8, **change})


def test_model_by_hand():
    model = PacketDemuxModel(2)
    packets = [Packet(bytes([number])) for number in range(5)]
    model.route(packets, [1, 0, 2, 1, 3])
    assert model.given == {0: [packets[1]], 1: [packets[0], packets[3]]}
    assert model.dropped_count == 2
