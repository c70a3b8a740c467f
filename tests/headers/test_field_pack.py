# amaranth: UnusedElaboratable=no
"""FieldPack: parameter checks, and the testbench that it shares with FieldExtract."""

import pytest

from hdl.headers import FieldPack
from tb.simulate import simulate


@pytest.mark.parametrize("header", ["bth", "ipv4"])
def test_field_pack(header, run_dir):
    simulate(
        FieldPack(header=header),
        name="field_pack",
        testbench="tb.headers.field_extract_tb",
        run_dir=run_dir,
        env={"HEADER": header, "DIRECTION": "pack"},
    )


def test_header_must_exist():
    with pytest.raises(ValueError, match=r"header must be one of .* not 'ipv5'"):
        FieldPack(header="ipv5")
