# amaranth: UnusedElaboratable=no
"""AxiLiteSlave: parameter checks and names; RegisterFile's testbench and proof exercise it."""

import re

import pytest
from amaranth.back import verilog
from cocotbext.axi import axil_channels

from hdl.register import AxiLiteSlave

CHANNELS = ("AW", "W", "B", "AR", "R")


def test_ports_have_the_names_that_others_look_for():
    text = verilog.convert(AxiLiteSlave(address_bits=12), name="axi_lite_slave", emit_src=False)
    header = text[text.index("module axi_lite_slave(") :]
    ports = set(re.findall(r"bus__(\w+)", header[: header.index(");")]))
    expected = set()
    for channel in CHANNELS:
        bus = getattr(axil_channels, f"AxiLite{channel}Bus")
        expected |= {*bus._signals, *bus._optional_signals}
    assert ports == expected


def test_address_bits_are_checked():
    with pytest.raises(ValueError, match="address_bits must be 3 or more, not 2"):
        AxiLiteSlave(address_bits=2)
