"""Logic depth on standard cells, in FO4 inverter delays."""

import os
import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .yosys import READ, FlowError, MissingToolError, count_cells, run_yosys, sum_cells

__all__ = ["find_library", "measure_depth"]

#: Where Debian's qflow-tech-osu018 puts its standard-cell library.
DEBIAN_LIBRARY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


def find_library(path: str | os.PathLike[str] | None = None) -> Path:
    """Standard-cell library: ``path``, else HEADRACE_LIBERTY, else Debian's qflow-tech-osu018.

    Raises
    ------
    MissingToolError
        If there is none.
    """
    named = path or os.environ.get("HEADRACE_LIBERTY")
    library = Path(named) if named else DEBIAN_LIBRARY
    if not library.is_file():
        raise MissingToolError(
            f"no standard-cell library at {library}: apt-get install qflow-tech-osu018,"
            " or name one with --library or HEADRACE_LIBERTY"
        )
    return library.resolve()


@dataclass(frozen=True)
class _Inverter:
    cell: str
    area: float
    i: str
    o: str
    capacitance_ff: float


def _inverters(library: Path) -> list[_Inverter]:
    """Inverters of a Liberty file, smallest first."""
    text = re.sub(r"/\*.*?\*/", "", library.read_text(errors="replace"), flags=re.DOTALL)
    unit = re.search(r"capacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*\"?(\w+)", text)
    scale = float(unit[1]) * {"ff": 1.0, "pf": 1000.0}[unit[2].lower()] if unit else 1000.0
    found = []
    for body in re.split(r"\bcell\s*\(", text)[1:]:
        name = body.partition(")")[0].strip(' "')
        pins = {pin.partition(")")[0].strip(' "'): pin for pin in re.split(r"\bpin\s*\(", body)[1:]}
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        if len(pins) != 2 or area is None:
            continue
        for o, text_o in pins.items():
            i = next(pin for pin in pins if pin != o)
            function = re.search(r"\bfunction\s*:\s*\"([^\"]*)\"", text_o)
            load = re.search(r"\bcapacitance\s*:\s*([\d.]+)", pins[i])
            if not function or not load:
                continue
            if re.sub(r"[\s()]", "", function[1]) in (f"!{i}", f"{i}'"):
                found.append(_Inverter(name, float(area[1]), i, o, float(load[1]) * scale))
    if len(found) < 2:
        raise FlowError(f"{library} has fewer than two inverters")
    return sorted(found, key=lambda inverter: (inverter.area, inverter.capacitance_ff))


def _abc_program() -> Path:
    spec = find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise MissingToolError("pyosys is missing: pip install pyosys")
    return Path(spec.origin).parent / "yosys-abc"


def _fo4_ps(library: Path, inverter: _Inverter, folder: Path) -> float:
    """Delay of the smallest inverter when it drives four like it.

    ABC times chains of 20 and 30 inverters, each with three more as a load; a tenth of the
    difference is one stage, with rising and falling edges alternating and the transition time
    that such a chain settles at.
    """
    delays = []
    for length in (20, 30):
        gates = []
        loads = [f"load_{stage}_{n}" for stage in range(length) for n in range(3)]
        for stage in range(length):
            for output in [f"n{stage + 1}", *(f"load_{stage}_{n}" for n in range(3))]:
                driver = f"n{stage}" if output == f"n{stage + 1}" else f"n{stage + 1}"
                gates.append(f".gate {inverter.cell} {inverter.i}={driver} {inverter.o}={output}")
        text = [".model chain", ".inputs n0", f".outputs n{length} {' '.join(loads)}", *gates]
        (folder / "chain.blif").write_text("\n".join([*text, ".end", ""]))
        done = subprocess.run(
            [_abc_program(), "-c", f"read_lib {library}; read_blif chain.blif; topo; stime -p"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.findall(r"Delay = *([\d.]+) ps", done.stdout)
        if not found:
            raise FlowError(f"ABC could not time an inverter chain of {library}")
        delays.append(float(found[-1]))
    return (delays[1] - delays[0]) / 10


def measure_depth(folder: Path, top: str, library: Path) -> dict[str, Any]:
    """Logic depth in FO4; see ``docs/flows.md``.

    Memories with only clocked read ports stay whole: their ports count as registers. All others
    (constant tables, memories read in the same cycle) become gates and flip-flops. ABC maps for
    speed, buffers what drives much and sizes the gates. Inputs are driven by the second smallest
    inverter and every endpoint loads its driver with four of the smallest.
    """
    inverters = _inverters(library)
    unit = inverters[0]
    driver = next(i for i in inverters if i.capacitance_ff > 1.5 * unit.capacitance_ff)
    fo4 = _fo4_ps(library, unit, folder)
    # ABC reads this load in fF whatever the library's unit is.
    (folder / "depth.constr").write_text(
        f"set_driving_cell {driver.cell}\nset_load {4 * unit.capacitance_ff:.2f} [all_outputs]\n"
    )
    script = [
        *READ,
        f"synth -flatten -run begin:fine -top {top}",
        # Only a memory all of whose read ports have a clock stays whole.
        *(
            rf"setattr -set clocked 1 t:$mem_v2 r:RD_CLK_ENABLE={ports}'b{'1' * ports} %i"
            for ports in range(1, 17)
        ),
        r"memory_map t:$mem_v2 a:clocked=1 %d",
        "opt -fast -full",
        "techmap",
        "opt -fast",
        f"dfflibmap -liberty {library}",
        "opt",
        f"abc -liberty {library} -constr depth.constr -D 100",
        "opt_clean -purge",
        "tee -q -o depth.json stat -json",
    ]
    log = run_yosys(script, folder, "depth")
    cells = count_cells(folder, "depth")
    delays = re.findall(r"Delay = *([\d.]+) ps", log)
    path = re.findall(r"Path *\d+ --.* : \d+ +(\d+) (\w+) .*Df = *([\d.]+) .*Cout = *([\d.]+)", log)
    ends = re.findall(r"Start-point = \w+ \((.*)\)\.  End-point = \w+ \((.*)\)\.", log)
    flops = sum_cells(cells, r".*(DFF|dff|dfxtp|dfrtp|LATCH).*")
    return {
        "lut": sum(cells.values()) - flops - cells.get("$mem_v2", 0),
        "ff": flops,
        "ebr": cells.get("$mem_v2", 0),
        "fo4": round(float(delays[-1]) / fo4, 1) if delays else 0.0,
        "details": {
            "library": library.name,
            "fo4_ps": round(fo4, 2),
            "path": [
                f"{float(arrival) / fo4:5.1f} FO4 {cell:<9} fan-out {fanout}"
                for fanout, cell, arrival, _ in path
            ]
            + [f"from {begin} to {end}" for begin, end in ends[-1:]],
            "cells": cells,
        },
    }
