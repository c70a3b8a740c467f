# amaranth: UnusedElaboratable=no
"""Copies between a host and card memory: both engines, with others' models at both ends."""

import pytest

from tb.dma.host_copies import HostCopies
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("data_bytes", "cases"), [(32, 500), pytest.param(128, 50_000, marks=pytest.mark.long)]
)
def test_host_copies(data_bytes, cases, run_dir):
    simulate(
        HostCopies(data_bytes=data_bytes, tag_count=32, slot_bytes=4096, max_payload_bytes=4096),
        name="host_copies",
        testbench="tb.dma.host_copies_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "CASES": cases},
    )
