"""ECP5 boards with a serial line to the host, by the names of the command line."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform
from amaranth_boards.ecp5_5g_evn import ECP55GEVNPlatform
from amaranth_boards.ecpix5 import ECPIX545Platform, ECPIX585Platform
from amaranth_boards.icepi_zero import IcepiZero1_3Platform
from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform
from amaranth_boards.versa_ecp5 import VersaECP5Platform
from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

__all__ = ["BOARDS", "Board", "Pll", "plan_pll"]


@dataclass(frozen=True)
class Board:
    """A board.

    Parameters
    ----------
    platform : callable
        Makes its platform.
    program : str
        Command that loads a bitstream until power-off; ``{bit}`` and ``{svf}`` are files.
    uart : str
        Where its serial line is.
    hertz : float
        Clock that every design reaches on it: 125 MHz at speed grade 8, 75 MHz at 6.
    """

    platform: Callable[[], LatticeECP5Platform]
    program: str
    uart: str = "the board's USB bridge"
    hertz: float = 125e6


_LOADER = "openFPGALoader -b {board} {{bit}}"
_SVF = "openocd -f board/{board}.cfg -c 'init; svf -quiet {{svf}}; exit'"

BOARDS = {
    "colorlight-5a75b-r7.0": Board(
        Colorlight_5A75B_R70Platform,
        _LOADER.format(board="colorlight"),
        "J19: transmit on DATA_LED-, receive on KEY+",
        hertz=75e6,
    ),
    "ecp5-5g-evn": Board(
        ECP55GEVNPlatform,
        _LOADER.format(board="ecp5_evn"),
        "the board's USB bridge, once the two UART jumpers are set",
    ),
    "ecpix5-45": Board(ECPIX545Platform, _LOADER.format(board="ecpix5")),
    "ecpix5-85": Board(ECPIX585Platform, _LOADER.format(board="ecpix5")),
    "icepi-zero": Board(IcepiZero1_3Platform, _LOADER.format(board="icepi-zero"), hertz=75e6),
    "ulx3s-25": Board(ULX3S_25F_Platform, _LOADER.format(board="ulx3s"), hertz=75e6),
    "ulx3s-45": Board(ULX3S_45F_Platform, _LOADER.format(board="ulx3s"), hertz=75e6),
    "ulx3s-85": Board(ULX3S_85F_Platform, _LOADER.format(board="ulx3s"), hertz=75e6),
    "versa-ecp5": Board(VersaECP5Platform, _LOADER.format(board="versa_ecp5")),
    "versa-ecp5-5g": Board(VersaECP55GPlatform, _LOADER.format(board="versa_ecp5")),
}


@dataclass(frozen=True)
class Pll:
    """Dividers of an EHXPLLL whose CLKOP goes back to its feedback input."""

    input_divider: int
    feedback_divider: int
    output_divider: int
    hertz: float


def plan_pll(input_hertz: float, wanted_hertz: float) -> Pll:
    """Return the dividers for the highest frequency not above ``wanted_hertz``.

    Specification: ECP5 and ECP5-5G Family Data Sheet, sysCLOCK PLL timing: phase detector 3.125 to
    400 MHz, oscillator 400 to 800 MHz.

    Raises
    ------
    ValueError
        If no dividers give a frequency.
    """
    best: Pll | None = None
    for input_divider in range(1, 129):
        detector = input_hertz / input_divider
        if not 3.125e6 <= detector <= 400e6:
            continue
        feedback_divider = min(128, int(wanted_hertz / detector + 1e-9))
        hertz = detector * feedback_divider
        if not feedback_divider or (best and hertz <= best.hertz):
            continue
        for output_divider in range(1, 129):
            if 400e6 <= hertz * output_divider <= 800e6:
                best = Pll(input_divider, feedback_divider, output_divider, hertz)
                break
    if best is None:
        raise ValueError(f"no PLL setting makes {wanted_hertz} Hz of {input_hertz} Hz")
    return best
