# amaranth: UnusedElaboratable=no
"""FieldExtract: parameter checks, and its cocotb testbench for headers of several kinds."""

import pytest

from hdl.headers import FieldExtract
from tb.simulate import simulate


@pytest.mark.parametrize("header", ["bth", "ipv4", "mac_control"])
def test_field_extract(header, run_dir):
    simulate(
        FieldExtract(header=header),
        name="field_extract",
        testbench="tb.headers.field_extract_tb",
        run_dir=run_dir,
        env={"HEADER": header, "DIRECTION": "extract"},
    )


def test_header_must_exist():
    with pytest.raises(ValueError, match=r"header must be one of .* not 'ipv5'"):
        FieldExtract(header="ipv5")
