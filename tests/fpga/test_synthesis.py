"""The flows measure what they say they do, on circuits whose answer is known."""

from pathlib import Path

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.depth import find_library
from fpga.route import frame
from fpga.synthesis import synthesize
from fpga.yosys import FlowError, MissingToolError


class Parity(wiring.Component):
    """Exclusive-or of ``i`` between registers."""

    i: Signal
    o: Signal

    def __init__(self, *, width: int):
        self.width = width
        super().__init__({"i": In(width), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.width)
        m.d.sync += held.eq(self.i)
        m.d.sync += self.o.eq(held.xor())
        return m


class Store(wiring.Component):
    """Memory with a read port in ``domain`` and, after it, a register or an inverter."""

    address: Signal
    data: Signal
    write: Signal
    o: Signal

    def __init__(self, *, domain: str):
        self.domain = domain
        super().__init__({"address": In(9), "data": In(36), "write": In(1), "o": Out(36)})

    def elaborate(self, platform):
        m = Module()
        depth = 512 if self.domain == "sync" else 16
        m.submodules.memory = memory = Memory(shape=36, depth=depth, init=[])
        write = memory.write_port()
        read = memory.read_port(domain=self.domain)
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(self.write),
            read.addr.eq(self.address),
        ]
        m.d[self.domain] += self.o.eq(~read.data)
        return m


def measure(component, target, **extra):
    return synthesize(component, block="test", parameters={}, target=target, **extra)


@pytest.fixture
def library():
    try:
        return find_library()
    except MissingToolError as error:
        pytest.skip(str(error))


def test_area_of_a_block_ram():
    result = measure(Store(domain="sync"), "xcup")
    assert (result.lut, result.ff, result.ebr, result.dsp) == (36, 36, 0.5, 0)
    assert result.fmax_mhz is None


def test_distributed_ram_counts_as_lut():
    result = measure(Store(domain="comb"), "ecp5", fmax=False)
    assert (result.details["cells"]["TRELLIS_DPR16X4"], result.ebr) == (9, 0)
    assert result.lut == 54 + result.details["cells"].get("LUT4", 0)


def test_fmax_falls_with_depth():
    shallow = measure(Parity(width=2), "ecp5")
    deep = measure(Parity(width=64), "ecp5")
    assert shallow.fmax_mhz is not None
    assert deep.fmax_mhz is not None
    assert deep.fmax_mhz < shallow.fmax_mhz


def test_seeds_are_tried_while_it_is_too_slow():
    one = measure(Parity(width=48), "ecp5")
    assert one.details["seed"] == 1
    best = measure(Parity(width=48), "ecp5", least_mhz=10_000)
    tried = {f"nextpnr-{seed}.log": seed for seed in (1, 2, 3)}
    assert {path.name for path in Path(best.folder).glob("nextpnr-*.log")} == set(tried)
    assert one.fmax_mhz is not None
    assert best.fmax_mhz is not None
    assert best.fmax_mhz >= one.fmax_mhz
    assert best.details["seed"] in tried.values()


def test_depth_in_fo4(library):
    shallow = measure(Parity(width=4), "depth")
    deep = measure(Parity(width=64), "depth")
    assert shallow.fo4 is not None
    assert deep.fo4 is not None
    # Two and six levels of XOR; one is 1.5 to 3 FO4 in any library.
    assert 2 * 1.5 < shallow.fo4 < 2 * 3
    assert 6 * 1.5 < deep.fo4 < 6 * 3
    if library.name == "osu018_stdcells.lib":
        # By hand from the tables of INVX1 at 0.0373 pF: about 0.1 ns a stage.
        assert deep.details["fo4_ps"] == pytest.approx(99, rel=0.02)


def test_depth_keeps_clocked_memories_whole(library):
    result = measure(Store(domain="sync"), "depth")
    assert result.ebr == 1
    assert result.ff == 36
    result = measure(Store(domain="comb"), "depth")
    assert result.ebr == 0
    assert result.ff == 16 * 36


def test_no_library_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_LIBERTY", str(tmp_path / "none.lib"))
    with pytest.raises(MissingToolError, match="apt-get install qflow-tech-osu018"):
        find_library()


def test_frame_registers_every_port():
    text = "module top(a, b_clk, clk, o);\n  input [2:0] a;\n  input b_clk;\n  input clk;\n"
    text += "  output [1:0] o;\nendmodule\n"
    verilog = frame(text, "top", {"clk", "b_clk"})
    assert ".a(source[2:0]), .b_clk(clk), .clk(clk), .o(result[1:0])" in verilog
    with pytest.raises(FlowError, match="no inputs or no outputs"):
        frame(text, "top", {"clk", "b_clk", "a"})


def test_refused_design_names_its_log(tmp_path, library):
    broken = tmp_path / "broken.lib"
    broken.write_text("library(x) { }")
    with pytest.raises(FlowError, match="fewer than two inverters"):
        measure(Parity(width=4), "depth", library=broken)


class Board(wiring.Component):
    """Design that lists its parts."""

    def __init__(self):
        super().__init__({})

    def depth_parts(self):
        return {"parity": (3, Parity(width=256)), "store": (1, Store(domain="comb"))}


def test_depth_of_a_design_is_that_of_its_deepest_part(library):
    whole = measure(Board(), "depth", library=library)
    parity = measure(Parity(width=256), "depth", library=library)
    store = measure(Store(domain="comb"), "depth", library=library)
    assert whole.fo4 == max(parity.fo4 or 0, store.fo4 or 0) == parity.fo4
    assert whole.ff == 3 * parity.ff + store.ff
    assert whole.details["parts"] == {"parity": parity.fo4, "store": store.fo4}
    # The store's output is an inverter behind a memory that is read without a clock.
    assert whole.details["unregistered_outputs"] == {"parity": [], "store": ["o"]}
