# amaranth: UnusedElaboratable=no
"""PacketCut: its model, parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream.packet_cut import PacketCut
from sim.stream import Packet
from sim.stream.packet_cut import cut
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 8, 64])
def test_packet_cut(data_bytes, run_dir):
    simulate(
        PacketCut(data_bytes=data_bytes),
        name="packet_cut",
        testbench="tb.stream.packet_cut_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes},
    )


def test_refused_parameters():
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        PacketCut(data_bytes=3)


def test_model_takes_what_is_there():
    """Pieces in order; beyond the end, what is there and an error; the error of the last beat."""
    packet = Packet(b"0123456789", error=True)
    pieces = [(1, 2), (4, 0), (5, 3), (8, 4), (12, 1)]
    assert cut(packet, pieces, 4) == [
        Packet(b"12"),
        Packet(b"567"),
        Packet(b"89", error=True),
        Packet(b"", error=True),
    ]
    assert cut(packet, [(8, 1)], 4) == [Packet(b"8", error=True)]
