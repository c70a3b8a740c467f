# amaranth: UnusedElaboratable=no
"""HeaderInsert: its model, parameter checks, and its cocotb testbench at several sizes."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from hdl.stream import HeaderInsert
from sim.stream import Packet, insert_header
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, max_header_bytes", [(1, 3), (2, 5), (8, 74), (128, 74)])
def test_header_insert(data_bytes, max_header_bytes, run_dir):
    simulate(
        HeaderInsert(data_bytes=data_bytes, max_header_bytes=max_header_bytes),
        name="header_insert",
        testbench="tb.stream.header_insert_tb",
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
        HeaderInsert(data_bytes=data_bytes, max_header_bytes=max_header_bytes)


@pytest.mark.parametrize(
    "outer, length",
    [(Ether(), 14), (Ether() / Dot1Q(), 18), (Ether() / IP(), 34), (Ether() / IPv6(), 54)],
)
def test_model_is_encapsulation(outer, length):
    """A header inserted is what scapy makes of the header and the packet."""
    inner = UDP(sport=1, dport=4791, chksum=0, len=108) / Raw(bytes(range(100)))
    outer = Ether(bytes(outer / inner))
    header = bytes(outer)[:length]
    assert len(header) + len(bytes(inner)) == len(bytes(outer))
    assert insert_header(header, Packet(bytes(inner), True)) == Packet(bytes(outer), True)
