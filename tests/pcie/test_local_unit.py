# amaranth: UnusedElaboratable=no
"""LocalUnit: parameter checks, models, and its cocotb testbenches at two sizes."""

import pytest

from hdl.pcie.local_unit import LocalUnit
from tb.simulate import build, run

ROWS = 64
ANSWER_ROWS = 16


@pytest.mark.parametrize(("port_count", "segment_count"), [(3, 4), (8, 1)])
def test_local_unit(port_count, segment_count, run_dir):
    simulator = build(
        LocalUnit(
            port_count=port_count,
            segment_count=segment_count,
            nonposted_rows=ROWS,
            posted_rows=ROWS,
            answer_rows=ANSWER_ROWS,
        ),
        name="local_unit",
    )
    for testbench in ("local_unit_tb", "local_messages_tb"):
        run(
            simulator,
            name="local_unit",
            testbench=f"tb.pcie.{testbench}",
            run_dir=run_dir / testbench,
            env={
                "PORT_COUNT": port_count,
                "SEGMENT_COUNT": segment_count,
                "ANSWER_ROWS": ANSWER_ROWS,
                "ROWS": ROWS,
            },
        )
