"""Every block keeps its budget of area, clock frequency and logic depth."""

import pytest

from fpga.budgets import measure, missed, read
from fpga.depth import find_library
from fpga.synthesis import Synthesis
from fpga.yosys import MissingToolError


def rows():
    for budget in read():
        marks = [pytest.mark.long] if budget.long else []
        yield pytest.param(budget, marks=marks, id=budget.name)


@pytest.mark.parametrize("budget", list(rows()))
def test_budget(budget):
    if budget.target == "depth":
        try:
            find_library()
        except MissingToolError as error:
            pytest.skip(str(error))
    result = measure(budget)
    assert missed(result, budget.limits) == []


def test_missed_limits_are_named():
    result = Synthesis("stream.PacketMux", {}, "ecp5", lut=10, ff=5, fmax_mhz=100.0)
    assert missed(result, {"lut": 10, "ff": 5, "fmax_mhz": 100}) == []
    assert missed(result, {"lut": 9}) == ["lut is 10, budget 9"]
    assert missed(result, {"fmax_mhz": 101}) == ["fmax_mhz is 100.0, budget 101"]
    assert missed(result, {"fo4": 50}) == ["fo4 is None, budget 50"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('target = "ecp6"\nlimits = { lut = 1 }', "no target 'ecp6'"),
        ('target = "ecp5"\nlimits = { luts = 1 }', "no figure 'luts'"),
        ('target = "ecp5"\nlimits = {}', "limits nothing"),
        ('target = "ecp5"\nlimit = { lut = 1 }', "row 1"),
    ],
)
def test_wrong_rows_are_refused(tmp_path, text, message):
    file = tmp_path / "budgets.toml"
    file.write_text(f'[[row]]\nblock = "stream.PacketMux"\nparameters = {{}}\n{text}\n')
    with pytest.raises(ValueError, match=message):
        read(file)
