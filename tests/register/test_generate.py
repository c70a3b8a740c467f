"""C header, SystemRDL and documentation: read by gcc, g++ and a SystemRDL compiler."""

import subprocess
from pathlib import Path

import pytest
from systemrdl.compiler import RDLCompiler
from systemrdl.node import AddressableNode, MemNode, RegNode
from typer.testing import CliRunner

from hdl.register import EXAMPLE, RegisterTable, c_header, markdown, systemrdl
from headrace.cli import app
from headrace.registers import tables
from sim.register import EXAMPLE_COUNTERS, EXAMPLE_FIELDS, EXAMPLE_WINDOW

DOCS = Path(__file__).parents[2] / "docs" / "registers"
TABLES = list(tables().values())


def expected_of_example() -> dict[str, int]:
    """Constants of the example's C header, from the model's table."""
    expected = {
        "EXAMPLE_RULES": EXAMPLE_WINDOW[0],
        "EXAMPLE_RULES_BYTES": EXAMPLE_WINDOW[1] - EXAMPLE_WINDOW[0],
        "EXAMPLE_THRESHOLD_COUNT": 4,
        "EXAMPLE_OCTETS_COUNT": 2,
    }
    for address, offset, bits, _, init, port in EXAMPLE_FIELDS:
        *index, field = port.upper().split("__")
        register = f"EXAMPLE_{index[0]}"
        expected[register + (f"({index[1]})" if len(index) > 1 else "")] = address
        expected[f"{register}_{field}_MASK"] = (2**bits - 1) << offset
        expected[f"{register}_{field}_SHIFT"] = offset
        if init:
            expected[f"{register}_{field}_INIT"] = init
    for address, port in EXAMPLE_COUNTERS:
        name, _, number = port.upper().partition("__")
        expected[f"EXAMPLE_{name}" + (f"({number})" if number else "")] = address
    return expected


@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["g++", "-std=c++11", "-x", "c++"]])
def test_compilers_read_the_header(compiler, tmp_path):
    (tmp_path / "example.h").write_text(c_header(EXAMPLE))
    expected = expected_of_example()
    prints = "".join(f'    printf("%lu\\n", (unsigned long)({name}));\n' for name in expected)
    source = tmp_path / "print.c"
    source.write_text(
        '#include <stdio.h>\n#include "example.h"\n#include "example.h"\n'
        f"int main(void) {{\n{prints}    return 0;\n}}\n"
    )
    program = tmp_path / "print"
    subprocess.run(
        [*compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o", program], check=True
    )
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert dict(zip(expected, map(int, printed.split()), strict=True)) == expected


def test_header_has_nothing_else():
    defined = {
        line.split()[1].split("(")[0]
        for line in c_header(EXAMPLE).splitlines()
        if line.startswith("#define")
    }
    expected = {name.split("(")[0] for name in expected_of_example()}
    assert defined == expected | {"HEADRACE_EXAMPLE_H"}


def compiled(table: RegisterTable, folder: Path):
    """Nodes that the SystemRDL compiler makes of the table, by name and number."""
    source = folder / f"{table.name}.rdl"
    source.write_text(systemrdl(table))
    compiler = RDLCompiler()
    compiler.compile_file(str(source))
    return {
        node.get_path_segment().replace("[", "__").rstrip("]"): node
        for node in compiler.elaborate().top.children(unroll=True)
        if isinstance(node, AddressableNode)
    }


def test_systemrdl_agrees_address_by_address(tmp_path):
    nodes = compiled(EXAMPLE, tmp_path)
    fields, counters = [], []
    for name, node in nodes.items():
        if isinstance(node, MemNode):
            assert name == "rules"
            assert node.absolute_address == EXAMPLE_WINDOW[0]
            assert node.absolute_address + node.size == EXAMPLE_WINDOW[1]
            assert (node.get_property("memwidth"), node.get_property("sw").name) == (32, "rw")
            continue
        assert isinstance(node, RegNode)
        if node.size == 8:
            counters.append((node.absolute_address, name))
            assert node.get_property("accesswidth") == 32
            continue
        for field in node.fields():
            software = field.get_property("sw").name
            if software == "rw":
                access = "w1c" if field.get_property("onwrite") else "rw"
            elif software == "w":
                access = "pulse"
            else:
                access = "ro" if field.is_hw_writable else "constant"
            port = f"{name}__{field.inst_name}"
            reset = field.get_property("reset")
            fields.append(
                (node.absolute_address, field.low, field.width, access, reset, port),
            )
    assert fields == EXAMPLE_FIELDS
    assert counters == EXAMPLE_COUNTERS


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_compiles(table, tmp_path):
    nodes = compiled(table, tmp_path)
    assert len(nodes) == sum(place.entry.count for place in table.places())
    for place in table.places():
        first = place.entry.name if place.entry.count == 1 else f"{place.entry.name}__0"
        assert nodes[first].absolute_address == place.address
    header = tmp_path / "table.h"
    header.write_text(c_header(table))
    subprocess.run(["gcc", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", header], check=True)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_documentation_is_up_to_date(table):
    page = DOCS / f"{table.name}.md"
    assert page.exists(), "run `headrace registers --docs docs/registers`"
    assert page.read_text() == markdown(table), "run `headrace registers --docs docs/registers`"


def test_documentation_is_of_tables():
    assert {page.stem for page in DOCS.glob("*.md")} == {table.name for table in TABLES}


def test_command(tmp_path):
    def run(*words: str):
        return CliRunner().invoke(app, ["registers", *words])

    assert "example\n" in run().stdout
    assert run("example", "--form", "c").stdout == c_header(EXAMPLE)
    assert run("example", "--form", "rdl").stdout == systemrdl(EXAMPLE)
    assert run("example").stdout == markdown(EXAMPLE)
    assert run("nothing").exit_code == 2
    assert run("--docs", str(tmp_path / "docs")).exit_code == 0
    assert (tmp_path / "docs" / "example.md").read_text() == markdown(EXAMPLE)
