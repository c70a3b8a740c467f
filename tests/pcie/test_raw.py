# amaranth: UnusedElaboratable=no
"""FromTlpStream and ToTlpStream: narrower, as wide and wider than a segment; their model."""

import re

import pytest
from amaranth.back import verilog

from hdl.pcie import FromTlpStream, ToTlpStream
from sim.pcie.raw import from_raw, to_raw
from sim.pcie.tlp import Kind, Tlp
from tb.simulate import simulate

ADAPTERS = {"from": FromTlpStream, "to": ToTlpStream}


@pytest.mark.parametrize("data_bytes", [8, pytest.param(32, marks=pytest.mark.long), 128])
@pytest.mark.parametrize("direction", ["from", "to"])
def test_raw(direction, data_bytes, run_dir):
    simulate(
        ADAPTERS[direction](data_bytes=data_bytes),
        name=f"{direction}_tlp_stream",
        testbench="tb.pcie.raw_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "DIRECTION": direction},
    )


@pytest.mark.parametrize(("direction", "prefix"), [("from", "s_axis"), ("to", "m_axis")])
def test_port_names(direction, prefix):
    text = verilog.convert(ADAPTERS[direction](data_bytes=64), emit_src=False)
    ports = set(re.findall(r"\b(?:input|output)\b.*?(\w+);", text))
    names = ("tdata", "tkeep", "tlast", "tuser", "tvalid", "tready")
    assert {f"{prefix}_{name}" for name in names} <= ports


@pytest.mark.parametrize("adapter", [FromTlpStream, ToTlpStream])
@pytest.mark.parametrize("data_bytes", [4, 48, 256])
def test_refuses(adapter, data_bytes):
    with pytest.raises(ValueError, match=f"8, 16, 32, 64 or 128, not {data_bytes}"):
        adapter(data_bytes=data_bytes)


def test_model_by_hand():
    tlp = Tlp(kind=Kind.MEMORY, length=1, first_be=15, tag=5, requester=0x0100, address=0x1234)
    packet = bytes.fromhex("00000001 0100050f 00001234")
    assert to_raw(tlp) == (packet, False)
    assert to_raw(tlp.with_changes(nullified=True)) == (packet, True)
    assert from_raw(packet, False) == tlp
    assert from_raw(packet, True) is None
    assert from_raw(packet[:-1], False) is None
    assert from_raw(packet[:8], False) is None
    local_prefix, end_to_end = b"\x8e123", b"\x91123"
    assert from_raw(local_prefix + packet, False) == tlp
    assert from_raw(end_to_end + packet, False) == tlp.with_changes(
        prefix=int.from_bytes(end_to_end, "little")
    )
    assert from_raw(end_to_end + local_prefix + packet, False) is None
    assert from_raw(end_to_end, False) is None
