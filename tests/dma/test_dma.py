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
            "MAX_PAYLOAD_BYTES": max_payload_bytes,
        },
    )


def test_dma_without_credits(run_dir):
    data_bytes, tag_count = 32, 8
    simulate(
        Dma(data_bytes=data_bytes, tag_count=tag_count, client_count=2),
        name="dma",
        testbench="tb.dma.dma_credits_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "TAG_COUNT": tag_count},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"data_bytes": 24}, "data_bytes must be 8, 16, 32, 64 or 128, not 24"),
        ({"client_count": 17}, "client_count must be 1 to 16, not 17"),
        ({"tag_count": 5}, "tag_count must be even and 4 to 1024, not 5"),
        ({"slot_bytes": 100}, "slot_bytes must be a power of two, 128 to 4096, not 100"),
        ({"reserve": 17}, "reserve must be 1 to 16"),
        ({"max_payload_bytes": 8192}, "power of two, 128 to 4096, not 8192"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Dma(**{"data_bytes": 8, **change})
