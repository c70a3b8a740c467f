"""Run Yosys; what it and the flows around it may end with."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "BUILD",
    "READ",
    "FlowError",
    "MissingToolError",
    "count_cells",
    "run_yosys",
    "sum_cells",
]

BUILD = Path(__file__).resolve().parent.parent / "build" / "synth"


class MissingToolError(RuntimeError):
    """A tool or library is not there; the message says how to get it."""


class FlowError(RuntimeError):
    """A tool refused the design; the message names its log."""


def run_yosys(script: list[str], folder: Path, name: str) -> str:
    """Run passes in ``folder`` in a process of its own and return the log.

    Yosys reports to standard output and ends the process when it meets an error, neither of
    which may happen to the caller.
    """
    if find_spec("pyosys") is None:
        raise MissingToolError("pyosys is missing: pip install pyosys")
    (folder / f"{name}.ys").write_text("\n".join(script) + "\n")
    runner = (
        "import sys; from pyosys import libyosys as ys\n"
        "design = ys.Design()\n"
        "for line in open(sys.argv[1]): ys.run_pass(line.strip(), design)\n"
    )
    log = folder / f"{name}.log"
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-c", runner, f"{name}.ys"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(errors="replace")
    if done.returncode:
        errors = re.findall(r"^ERROR: .*", text, re.MULTILINE)
        reason = errors[-1] if errors else f"Yosys ended with {done.returncode}"
        raise FlowError(f"{reason}; see {log}")
    return text


# Assertions and printing are for simulators; Yosys would keep their cells.
READ = ["read_verilog design.v", "chformal -remove", r"delete t:$print"]


def count_cells(folder: Path, name: str) -> dict[str, int]:
    """Cells by type in the report that ``tee -o {name}.json stat -json`` wrote."""
    report = json.loads((folder / f"{name}.json").read_text())
    return report["design"]["num_cells_by_type"]


def sum_cells(cells: Mapping[str, int], pattern: str) -> int:
    """Cells whose type matches ``pattern``."""
    return sum(count for cell, count in cells.items() if re.fullmatch(pattern, cell))
