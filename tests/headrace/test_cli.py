"""The command line: output, exit codes and the one line of each error."""

import json

import pytest
from typer.testing import CliRunner

from headrace import checks
from headrace.cli import app
from tb.bench import Row


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_info_lists_blocks_and_tools():
    done = run("info", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    blocks = {block["name"]: block for block in report["blocks"]}
    names = [p["name"] for p in blocks["stream.PacketMux"]["parameters"]]
    assert names[:2] == ["port_count", "data_bytes"]
    assert blocks["stream.PacketMux"]["timing"].startswith("Latency is 1 cycle")
    assert all(block["summary"].endswith(".") for block in blocks.values())
    assert {"amaranth", "g++", "standard cells"} <= {tool["name"] for tool in report["tools"]}


def test_info_shows_one_block_in_full():
    done = run("info", "packet_mux")
    assert done.exit_code == 0
    assert "Members\n" in done.stdout


@pytest.mark.parametrize("name", ["stream.PacketMux", "PacketMux", "packet_mux"])
def test_verilog_by_any_name(name):
    done = run("verilog", name, "port_count=3", "data_bytes=4")
    assert done.exit_code == 0
    assert "module packet_mux(" in done.stdout
    assert "i__2__payload" in done.stdout
    assert "i__3__payload" not in done.stdout


def test_verilog_to_a_file_under_another_name(tmp_path):
    file = tmp_path / "mux.v"
    words = ["packet_mux", "port_count=2", "--profile", "proto", "-o", str(file), "--name", "mux"]
    done = run("verilog", *words)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "module mux(" in file.read_text()
    assert "[73:0] o__payload" in file.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("verilog stream.PacketMx", "did you mean"),
        ("verilog packet_mux port_cont=2", "did you mean port_count?"),
        ("verilog packet_mux port_count=2", "needs data_bytes=VALUE"),
        ("verilog packet_mux port_count=1 data_bytes=8", "port_count must be 2 or more, not 1"),
        ("verilog packet_mux port_count=many data_bytes=8", "wrong type"),
        ("verilog packet_mux port_count 2", "NAME=VALUE"),
        ("verilog packet_mux port_count=2 port_count=3 data_bytes=8", "given twice"),
        ("verilog packet_mux port_count=2 --profile prto", "did you mean proto?"),
        ("verilog packet_mux port_count=2 data_bytes=8 --name 2x", "cannot be called"),
        ("verilog packet_mux port_count=2 data_bytes=8 -o /nowhere/x.v", "/nowhere/x.v"),
        ("synth packet_mux --target ecp", "did you mean ecp5?"),
        ("synth --profile proto", "needs a block"),
        ("synth packet_mux port_count=2 data_bytes=8 --target depth --library x.lib", "x.lib"),
        ("bench packet_mx", "did you mean"),
        ("bench packet_mux --profile card40", "did you mean card400"),
        ("prove stream.PacketMx", "did you mean stream.PacketMux"),
        ("bitstream --board ecpix5", "did you mean ecpix5-85"),
        ("bitstream --board ecpix5-85 --design parse", "did you mean parser?"),
        ("bitstream --board ecpix5-85 --mhz 0.1", "115200 baud cannot be made of 0.1 MHz"),
        ("inf", "No such command"),
        ("info --jsn", "No such option"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, message):
    done = run(*words.split())
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_bitstream_lists_boards():
    done = run("bitstream", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert "colorlight-5a75b-r7.0" in {board["board"] for board in report["boards"]}
    assert report["designs"] == ["loopback", "parser"]


def test_synth_prints_json():
    done = run("synth", "packet_mux", "port_count=2", "data_bytes=1", "--area", "--json")
    assert done.exit_code == 0
    (result,) = json.loads(done.stdout)
    assert (result["block"], result["target"]) == ("stream.PacketMux", "ecp5")
    assert result["lut"] > 0
    assert result["ff"] > 0
    assert result["fmax_mhz"] is None


def test_bench_prints_rows():
    done = run("bench", "packet_mux", "--profile", "proto", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert {row["block"] for row in rows} == {"packet_mux"}
    assert {row["profile"] for row in rows} == {"proto"}


def test_bench_that_misses_its_limit_fails(monkeypatch):
    row = Row("packet_mux", "proto", "60 B", "used/needed", 1.5, 1.0, "ratio")
    monkeypatch.setattr(checks, "in_parallel", lambda work, names: [([row], None) for _ in names])
    done = run("bench", "packet_mux", "--profile", "proto")
    assert done.exit_code == 1
    assert "MISSED" in done.stdout


def test_bench_that_breaks_fails(monkeypatch):
    monkeypatch.setattr(checks, "in_parallel", lambda work, names: [([], "broke") for _ in names])
    done = run("bench", "packet_mux", "--profile", "proto", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == []
    assert done.stderr == "error: packet_mux proto: broke\n"


def test_prove_prints_json():
    done = run("prove", "stream.PacketMux", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert rows
    assert all(row["proved"] for row in rows)


def test_property_that_is_not_proved_fails(monkeypatch):
    outcome = ("FAIL", 1.0, "folder")
    monkeypatch.setattr(checks, "in_parallel", lambda work, names: [outcome for _ in names])
    done = run("prove", "stream.PacketMux")
    assert done.exit_code == 1
    assert "NOT PROVED (FAIL)" in done.stdout
