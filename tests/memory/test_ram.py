# amaranth: UnusedElaboratable=no
"""RAMs: parameter checks, their cocotb testbench, and what synthesis makes of them."""

import re

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
from amaranth.lib import data
from pyosys import libyosys  # pyright: ignore[reportAttributeAccessIssue]  # made at import

from hdl.memory import SimpleDualPortRam, SinglePortRam, TrueDualPortRam
from tb.simulate import simulate

KINDS = {"single": SinglePortRam, "simple": SimpleDualPortRam, "true": TrueDualPortRam}


@pytest.mark.parametrize(
    ("kind", "shape", "depth", "lane_count", "latency", "bypass"),
    [
        ("single", 32, 50, 4, 2, {}),
        ("simple", 24, 50, 3, 2, {"bypass": True}),
        ("simple", 72, 300, 1, 1, {"bypass": False}),
        ("true", data.StructLayout({"tag": 4, "length": 9}), 50, 1, 1, {}),
    ],
)
def test_ram(kind, shape, depth, lane_count, latency, bypass, run_dir):
    simulate(
        KINDS[kind](shape=shape, depth=depth, lane_count=lane_count, latency=latency, **bypass),
        name="ram",
        testbench="tb.memory.ram_tb",
        run_dir=run_dir,
        env={
            "KIND": kind,
            "WIDTH": shape if isinstance(shape, int) else shape.size,
            "DEPTH": depth,
            "LANE_COUNT": lane_count,
            "LATENCY": latency,
            "BYPASS": bypass.get("bypass", False),
        },
    )


@pytest.mark.parametrize(
    ("target", "block_ram"),
    [("synth_ecp5", r"DP16KD"), ("synth_xilinx -family xcup -noiopad", r"RAMB\d\dE2")],
    ids=["ecp5", "xilinx"],
)
@pytest.mark.parametrize(
    ("ram", "registers"),
    [
        (lambda: SinglePortRam(shape=32, depth=512, lane_count=4, latency=2), 32),
        (lambda: TrueDualPortRam(shape=16, depth=1024, lane_count=1, latency=1), 0),
        (
            lambda: SimpleDualPortRam(shape=32, depth=512, lane_count=1, latency=1, bypass=False),
            0,
        ),
        (
            lambda: SimpleDualPortRam(shape=32, depth=512, lane_count=1, latency=1, bypass=True),
            33,
        ),
    ],
    ids=["single", "true", "simple", "bypass"],
)
def test_one_block_ram(ram, registers, target, block_ram, tmp_path):
    """One block RAM and no flip-flop but those that the docstring names."""
    source, log, statistics = (tmp_path / name for name in ("top.il", "log", "statistics"))
    source.write_text(rtlil.convert(ram(), name="top", emit_src=False))
    design = libyosys.Design()
    libyosys.run_pass(f"tee -q -o {log} read_rtlil {source}", design)
    libyosys.run_pass(f"tee -q -o {log} {target} -top top", design)
    libyosys.run_pass(f"tee -q -o {statistics} stat", design)
    counts = re.findall(r"^\s+(\d+)\s+(?:[\d.]+\s+)?(\w+)$", statistics.read_text(), re.M)
    cells = {name: int(count) for count, name in counts}
    assert sum(n for name, n in cells.items() if re.fullmatch(block_ram, name)) == 1
    assert sum(n for name, n in cells.items() if re.match(r"TRELLIS_FF|FD", name)) == registers
    assert cells.get("TRELLIS_DPR16X4", 0) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", [{"shape": 0}, {"depth": 1}, {"lane_count": 3}, {"lane_count": 0}, {"latency": 3}]
)
def test_refused_parameters(kind, wrong):
    right = {"shape": 8, "depth": 4, "lane_count": 2, "latency": 1}
    if kind == "simple":
        right["bypass"] = True
    with pytest.raises(ValueError, match=r"must"):
        KINDS[kind](**{**right, **wrong})
