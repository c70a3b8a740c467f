# amaranth: UnusedElaboratable=no
"""Packets over a serial line: models, parameter checks, cocotb testbenches."""

from typing import Any

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from hdl.serial import Report, SlipDecoder, SlipEncoder, UartReceiver, UartTransmitter
from sim.serial import Unslipped, report, slip, uart_bits, unslip
from tb.simulate import simulate


class Pair(wiring.Component):
    """Two components side by side in one build; ``names`` renames members."""

    def __init__(self, parts: dict[str, tuple[Any, dict[str, str]]]):
        self.parts = parts
        super().__init__(
            {
                new: component.signature.members[old]
                for component, names in parts.values()
                for old, new in names.items()
            }
        )

    def elaborate(self, platform):
        m = Module()
        for key, (component, names) in self.parts.items():
            m.submodules[key] = component
            for old, new in names.items():
                inner, outer = getattr(component, old), getattr(self, new)
                if component.signature.members[old].is_signature:
                    connect(m, inner, flipped(outer))
                elif component.signature.members[old].flow == wiring.In:
                    m.d.comb += inner.eq(outer)
                else:
                    m.d.comb += outer.eq(inner)
        return m


@pytest.mark.parametrize("clocks_per_bit", [4, 17])
def test_uart(clocks_per_bit, run_dir):
    receiver = UartReceiver(clocks_per_bit=clocks_per_bit)
    transmitter = UartTransmitter(clocks_per_bit=clocks_per_bit)
    simulate(
        Pair(
            {
                "receiver": (receiver, {"rx": "rx", "o": "o", "overrun": "overrun"}),
                "transmitter": (transmitter, {"i": "i", "tx": "tx"}),
            }
        ),
        name="uart",
        testbench="tb.serial.uart_tb",
        run_dir=run_dir,
        env={"CLOCKS_PER_BIT": clocks_per_bit},
    )


def test_slip(run_dir):
    simulate(
        Pair(
            {
                "encoder": (SlipEncoder(), {"i": "packet_i", "o": "byte_o"}),
                "decoder": (SlipDecoder(), {"i": "byte_i", "o": "packet_o"}),
            }
        ),
        name="slip",
        testbench="tb.serial.slip_tb",
        run_dir=run_dir,
    )


@pytest.mark.parametrize("width", [1, 29])
def test_report(width, run_dir):
    simulate(
        Report(width=width),
        name="report",
        testbench="tb.serial.report_tb",
        run_dir=run_dir,
        env={"WIDTH": width},
    )


def test_refuses():
    with pytest.raises(ValueError, match="clocks_per_bit must be 4 or more, not 3"):
        UartReceiver(clocks_per_bit=3)
    with pytest.raises(ValueError, match="clocks_per_bit must be 4 or more, not 3"):
        UartTransmitter(clocks_per_bit=3)
    with pytest.raises(ValueError, match="width must be 1 or more, not 0"):
        Report(width=0)


def test_models_by_hand():
    """RFC 1055: END is octal 300, ESC 333; they are sent as 333 334 and 333 335."""
    assert slip(bytes([0o300, 1, 0o333])) == bytes([0o333, 0o334, 1, 0o333, 0o335, 0o300])
    assert unslip(bytes([0o300, 7, 0o333, 0o334, 0o300, 8])) == [Unslipped(bytes([7, 0o300]))]
    assert unslip(bytes([0o333, 7, 0o300])) == [Unslipped(bytes([7]), error=True)]
    assert list(uart_bits(0x53)) == [0, 1, 1, 0, 0, 1, 0, 1, 0, 1]
    assert report(0x1FF, 9).data == b"\xff\x01"
