"""Depth of a large design by that of its parts, and what has to hold for that."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from amaranth.lib import wiring

from hdl import catalogue

from .yosys import READ, run_yosys

__all__ = ["InParts", "combine", "unregistered_outputs"]

_FLIP_FLOPS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce")


@runtime_checkable
class InParts(Protocol):
    """Design whose parts have outputs from registers, with nothing but wires between them.

    No path then goes through two parts, so that the design is as deep as the deepest of them:
    designs for which one run of ABC would take hours are measured so.
    """

    def depth_parts(self) -> Mapping[str, tuple[int, wiring.Component]]:
        """How often each kind of part occurs, and one of it."""
        ...


def unregistered_outputs(folder: Path, top: str) -> list[str]:
    """List outputs of ``design.v`` with a bit that is neither from a register nor constant.

    An input that is passed on counts as such an output.
    """
    script = [*READ, f"hierarchy -top {top}", "proc", "flatten", "clean", "memory -nomap"]
    run_yosys([*script, "write_json registers.json"], folder, "registers")
    module = json.loads((folder / "registers.json").read_text())["modules"][top]
    clocked = {
        bit
        for cell in module["cells"].values()
        if cell["type"] in _FLIP_FLOPS
        or (cell["type"] == "$mem_v2" and "0" not in cell["parameters"]["RD_CLK_ENABLE"])
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    return sorted(
        name
        for name, port in module["ports"].items()
        if port["direction"] == "output"
        and any(isinstance(bit, int) and bit not in clocked for bit in port["bits"])
    )


def combine(component: InParts, base: Any, measure: Callable[[str, wiring.Component], Any]) -> Any:
    """Depth of the deepest part and the area of all, as ``base`` with the figures filled in.

    Parameters
    ----------
    base, measure
        A :class:`fpga.synthesis.Synthesis` that names the design, and what makes one of a part.
    """
    measured = []
    for name, (count, part) in component.depth_parts().items():
        one = measure(name, part)
        top = catalogue.snake_case(type(part).__name__)
        measured.append((name, count, one, unregistered_outputs(Path(one.folder), top)))
    deepest, _, worst, _ = max(measured, key=lambda each: each[2].fo4)
    lines = [
        f"{one.fo4:5.1f} FO4 {name} ({count}); outputs not from registers: "
        f"{', '.join(outputs) or 'none'}"
        for name, count, one, outputs in measured
    ]
    return replace(
        base,
        **{
            figure: sum(count * getattr(one, figure) for _, count, one, _ in measured)
            for figure in ("lut", "ff", "ebr")
        },
        fo4=worst.fo4,
        details={
            **worst.details,
            "parts": {name: one.fo4 for name, _, one, _ in measured},
            "unregistered_outputs": {name: outputs for name, _, _, outputs in measured},
            "path": [*lines, f"the slowest path, in {deepest}:", *worst.details["path"]],
        },
        folder=worst.folder,
    )
