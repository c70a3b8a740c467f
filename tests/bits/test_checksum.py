# amaranth: UnusedElaboratable=no
"""InternetChecksum: parameter checks, model and cocotb testbench at several sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.utils import PcapReader, checksum

from hdl.bits import InternetChecksum
from sim.bits import internet_checksum
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes", [1, 2, 6, 8, 64, 128])
def test_checksum(data_bytes, run_dir):
    block = InternetChecksum(data_bytes=data_bytes)
    simulate(
        block,
        name="checksum",
        testbench="tb.bits.checksum_tb",
        run_dir=run_dir,
        env={"MODEL": "checksum", "DATA_BYTES": data_bytes, "LATENCY": block.latency},
    )


@given(st.binary())
def test_model_is_scapys(message):
    assert internet_checksum(message) == checksum(message)


@given(st.integers(1, 5), st.binary(max_size=12))
def test_model_is_scapys_where_many_carries_are(count, tail):
    message = b"\xff\xff" * 2**count + tail
    assert internet_checksum(message) == checksum(message)


def test_model_accepts_captured_headers(request):
    capture = request.config.rootpath / "data" / "captures" / "perftest_send_lat_s64.pcap"
    with PcapReader(str(capture)) as packets:
        headers = [bytes(p[IP])[: 4 * p[IP].ihl] for p in packets if IP in p]
    assert len(headers) > 10
    assert {internet_checksum(header) for header in headers} == {0}


def test_model_on_rfc_1071_example():
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


@pytest.mark.parametrize("data_bytes", [0, 3, -2])
def test_refuses_other_sizes(data_bytes):
    with pytest.raises(ValueError, match=f"data_bytes must be 1 or even, not {data_bytes}"):
        InternetChecksum(data_bytes=data_bytes)
