# amaranth: UnusedElaboratable=no
"""RegisterFile: parameter checks, and its cocotb testbench with the example's table."""

import pytest
from amaranth.back import verilog

from hdl.register import (
    EXAMPLE,
    Access,
    Counter,
    Field,
    Register,
    RegisterFile,
    RegisterTable,
    Window,
)
from sim.register import EXAMPLE_COUNTERS, EXAMPLE_FIELDS, EXAMPLE_WINDOW
from tb.simulate import simulate


def test_register_file(run_dir):
    simulate(
        RegisterFile(table="hdl.register.example:EXAMPLE", address_bits=12),
        name="register_file",
        testbench="tb.register.register_file_tb",
        run_dir=run_dir,
        env={"ADDRESS_BITS": 12},
    )


def test_the_models_addresses_are_the_tables():
    fields = []
    for place in EXAMPLE.places():
        if isinstance(place.entry, Register):
            for number in range(place.entry.count):
                index = "" if place.entry.count == 1 else f"__{number}"
                for field, offset in place.entry.placed():
                    port = f"{place.entry.name}{index}__{field.name}"
                    address = place.address + 4 * number
                    access = {"read-only": "ro", "read-write": "rw", "write 1 to clear": "w1c"}
                    kind = access.get(field.access.value, field.access.value)
                    fields.append((address, offset, field.bits, kind, field.init, port))
    assert fields == EXAMPLE_FIELDS
    assert EXAMPLE["octets"].address == EXAMPLE_COUNTERS[0][0]
    assert EXAMPLE["drops"].address == EXAMPLE_COUNTERS[2][0]
    assert (EXAMPLE["rules"].address, EXAMPLE["rules"].end) == EXAMPLE_WINDOW


@pytest.mark.parametrize(
    "entry",
    [
        Register("only", "A register.", (Field("value", 3, Access.RW, "A value."),)),
        Counter("only", "A counter.", 1, saturates=True, count=3),
        Window("only", "A window.", 16),
        Register("only", "Many.", (Field("value", 3, Access.RO, "A value."),), count=40),
    ],
)
def test_tables_of_one_kind_become_verilog(entry):
    table = RegisterTable("small", "Has one entry.", (entry,))
    text = verilog.convert(RegisterFile(table=table, address_bits=10), name="small")
    assert "registers__only" in text


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"address_bits": 7}, "address_bits must be 8 or more for table example, not 7"),
        ({"table": "hdl.register.example"}, "table must be"),
        ({"table": "hdl.register.example:Window"}, "table must be"),
        ({"table": "hdl.register.nothing:EXAMPLE"}, "table must be"),
    ],
)
def test_parameters_are_checked(parameters, rule):
    with pytest.raises(ValueError, match=rule):
        RegisterFile(**{"table": EXAMPLE, "address_bits": 8, **parameters})
