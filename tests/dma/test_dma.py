# amaranth: UnusedElaboratable=no
"""Dma: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import Dma
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("data_bytes", "client_count", "tag_count", "slot_bytes", "max_payload_bytes"),
    [
        (8, 2, 32, 512, 512),
        (64, 2, 64, 4096, 4096),
    ],
)
def test_dma(data_bytes, client_count, tag_count, slot_bytes, max_payload_bytes, run_dir):
    simulate(
        Dma(
            data_bytes=data_bytes,
            client_count=client_count,
            tag_count=tag_count,
            slot_bytes=slot_bytes,
            max_payload_bytes=max_payload_bytes,
        ),
        name="dma",
        testbench="tb.dma.dma_tb",
        run_dir=run_dir,
        env={
            "DATA_BYTES": data_bytes,
            "CLIENTS": client_count,
            "SLOT_BYTES": slot_bytes,
            "MAX_PAYLOAD_BYTES": max_payload_bytes,
        },
    )
