"""Bitstreams: clocks by hand, the boards' pins, the designs simulated, one built to the end."""

import json
from typing import Any

import pytest
from scapy.utils import rdpcap

from fpga.bitstream import build
from fpga.boards import BOARDS, plan_pll
from fpga.designs import DESIGNS, Loopback, ParserDesign
from tb.simulate import simulate


@pytest.mark.parametrize("megahertz", [12, 25, 30, 48, 50, 100])
def test_pll_keeps_the_data_sheet(megahertz):
    pll = plan_pll(megahertz * 1e6, 125e6)
    detector = megahertz / pll.input_divider
    output = detector * pll.feedback_divider
    assert output == pytest.approx(pll.hertz / 1e6)
    assert 120 <= output <= 125
    assert 3.125 <= detector <= 400
    assert 400 <= output * pll.output_divider <= 800


def test_pll_by_hand():
    pll = plan_pll(25e6, 125e6)
    assert (pll.input_divider, pll.feedback_divider, pll.hertz) == (1, 5, 125e6)
    with pytest.raises(ValueError, match="no PLL setting"):
        plan_pll(25e6, 1e6)


@pytest.mark.parametrize("board", BOARDS)
def test_board_has_what_designs_need(board):
    platform = BOARDS[board].platform()
    assert platform.default_clk_frequency
    uart: Any = platform.lookup("uart", 0)
    assert {pin.name for pin in uart.ios} >= {"rx", "tx"}


def test_loopback(run_dir):
    simulate(
        Loopback(clocks_per_bit=4),
        name="loopback",
        testbench="tb.serial.loopback_tb",
        run_dir=run_dir,
        env={"CLOCKS_PER_BIT": 4},
    )


@pytest.mark.long
def test_parser_design(run_dir, pytestconfig, tmp_path):
    """Requests and answers of real traffic, short enough for a serial line."""
    sizes = ParserDesign.PARAMETERS
    capture = pytestconfig.rootpath / "data" / "captures" / "v_rc_all_ops_m256.pcap"
    frames = [bytes(frame) for frame in rdpcap(str(capture))]
    chosen = [frame for frame in frames if len(frame) <= 90][:12]
    assert len(chosen) == 12
    (tmp_path / "frames").write_text("\n".join(frame.hex() for frame in chosen))
    simulate(
        ParserDesign(clocks_per_bit=4),
        name="parser_design",
        testbench="tb.serial.parser_design_tb",
        run_dir=run_dir,
        env={
            "CLOCKS_PER_BIT": 4,
            "HEADER_COUNT": sizes["header_count"],
            "SLOTS": json.dumps(sizes["slots"]),
            "FRAMES": tmp_path / "frames",
        },
    )


def test_loopback_bitstream():
    made = build("colorlight-5a75b-r7.0", "loopback")
    check(made)


@pytest.mark.long
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("board", ["colorlight-5a75b-r7.0", "ecpix5-85"])
def test_bitstream(board, design):
    check(build(board, design))


def check(made):
    assert made.fmax_mhz >= made.needed_mhz >= 75
    assert all(0 < used <= available for used, available in made.used.values())
    with open(made.bit, "rb") as file:
        head = file.read(256)
    # The preamble of an ECP5's bitstream follows its comments.
    assert head.startswith(b"\xff\x00")
    assert b"\xff\xff\xbd\xb3" in head
    assert made.bit in made.program
