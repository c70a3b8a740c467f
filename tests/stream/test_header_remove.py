# amaranth: UnusedElaboratable=no
"""HeaderRemove: its model, parameter checks, and its cocotb testbench at several sizes."""

from pathlib import Path

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader

from hdl.stream import HeaderRemove
from sim.stream import Packet, remove_header
from tb.simulate import simulate

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


@pytest.mark.parametrize("data_bytes, max_header_bytes", [(1, 3), (2, 5), (8, 74), (128, 74)])
def test_header_remove(data_bytes, max_header_bytes, run_dir):
    simulate(
        HeaderRemove(data_bytes=data_bytes, max_header_bytes=max_header_bytes),
        name="header_remove",
        testbench="tb.stream.header_remove_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "MAX_HEADER_BYTES": max_header_bytes},
    )


@pytest.mark.parametrize(
    "data_bytes, max_header_bytes, rule",
    [
        (3, 4, "data_bytes must be a power of two, not 3"),
        (8, 0, "max_header_bytes must be 1 or more, not 0"),
    ],
)
def test_refused_parameters(data_bytes, max_header_bytes, rule):
    with pytest.raises(ValueError, match=rule):
        HeaderRemove(data_bytes=data_bytes, max_header_bytes=max_header_bytes)


@pytest.mark.parametrize("name", ["rc_pingpong_ipv6", "rc_pingpong_m256_s1000"])
def test_model_is_decapsulation(name):
    """Without 42 or 62 bytes, a captured frame is what scapy finds behind its UDP header."""
    decapsulated = 0
    with PcapReader(str(CAPTURES / f"{name}.pcap")) as frames:
        for frame in frames:
            if Ether not in frame or UDP not in frame:
                continue
            length = 62 if IPv6 in frame else 42
            header, rest = remove_header(length, Packet(bytes(frame)))
            assert rest is not None
            payload = bytes(frame[UDP].payload)
            assert rest.data[: len(payload)] == payload
            assert header + rest.data == bytes(frame)
            decapsulated += 1
    assert decapsulated
