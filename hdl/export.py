"""Verilog of a block, with one module for all instances that are alike."""

import re
from collections.abc import Iterator

from amaranth.back import (
    rtlil,  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
    verilog,
)
from amaranth.lib import wiring

__all__ = ["LINT_OFF", "to_verilog"]

#: What the Verilog that Amaranth writes trips over in Verilator's lint; it means no harm.
LINT_OFF = [
    "ALWNEVER",
    "ASCRANGE",
    "CASEINCOMPLETE",
    "CASEOVERLAP",
    "CMPCONST",
    "UNOPTFLAT",
    "UNSIGNED",
    "WIDTHEXPAND",
    "WIDTHTRUNC",
]

_MODULE = re.compile(r"^module (\S+)$", re.MULTILINE)
_CELL = re.compile(r"^\s*cell (\S+) \S+$")
_CONNECT = re.compile(r"^(\s*connect )(\S+)( .*)$")
_END = re.compile(r"^\s*end$")
# Ports that no signal gives a name to are numbered through the whole design.
_NUMBERED = re.compile(r"\\port\$\d+\$\d+")


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Names and RTLIL of the modules in ``text``; what is before them has no name."""
    for piece in re.split(r"(?m)(?=^(?:attribute [^\n]*\n)*module )", text):
        found = _MODULE.search(piece)
        yield (found[1] if found else ""), piece


def _renumber(piece: str, ports: dict[str, dict[str, str]], name: str) -> str:
    """Count a module's ports by their places in it, and those of its cells likewise."""
    own: dict[str, str] = {}
    for found in _NUMBERED.finditer("".join(re.findall(r"(?m)^\s*wire .*\n", piece))):
        own.setdefault(found[0], f"\\port${len(own)}")
    ports[name] = own
    lines = []
    cell = None
    for line in piece.split("\n"):
        if found := _CELL.match(line):
            cell = found[1]
        elif _END.match(line):
            cell = None
        elif cell is not None and (found := _CONNECT.match(line)):
            port = ports.get(cell, {}).get(found[2], found[2])
            rest = _NUMBERED.sub(lambda each: own.get(each[0], each[0]), found[3])
            lines.append(found[1] + port + rest)
            continue
        lines.append(_NUMBERED.sub(lambda each: own.get(each[0], each[0]), line))
    return "\n".join(lines)


def _replace_cells(piece: str, replaced: dict[str, str]) -> str:
    def replace(found: re.Match) -> str:
        return found[1] + replaced.get(found[2], found[2]) + found[3]

    return re.sub(r"(?m)^(\s*cell )(\S+)( \S+)$", replace, piece)


def _merge(text: str) -> str:
    """Drop each module of RTLIL ``text`` that repeats another, and have its instances use that.

    Amaranth writes a module for each instance, the instances of a module before it. From the
    leaves of the tree to its top, so that modules are compared when what they contain is merged.
    """
    pieces = dict(_split(text))
    ports: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    first: dict[str, str] = {}
    kept: dict[str, str] = {}
    for name in sorted(pieces, key=lambda name: -name.count(".")):
        piece = _replace_cells(_renumber(pieces[name], ports, name), replaced)
        body = _MODULE.sub("module", piece, count=1)
        replaced[name] = first.setdefault(body, name)
        if replaced[name] == name:
            kept[name] = piece
    return "".join(kept[name] for name in pieces if name in kept)


def to_verilog(component: wiring.Component, *, name: str) -> str:
    """Verilog of ``component`` as module ``name``; its ports are the members of its signature.

    Submodules that are the same are written once. The text is the same on every run, and passes
    Verilator's lint without options.
    """
    text = rtlil.convert(component, name=name, emit_src=False)
    # There is no public way from RTLIL to Verilog; the version of Amaranth is pinned.
    convert = verilog._convert_rtlil_text  # pyright: ignore[reportAttributeAccessIssue]
    lint = "".join(f"/* verilator lint_off {rule} */\n" for rule in LINT_OFF)
    return lint + convert(_merge(text))
