# amaranth: UnusedElaboratable=no
"""AxiRead: parameter checks, model, and its cocotb testbench at each size."""

import pytest

from hdl.dma import AxiRead
from sim.dma import Answer, AxiBurst, ReadRequest, axi_answer, axi_read_bursts
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("client_count", "data_bytes", "burst_bytes", "buffer_rows"),
    [
        (4, 8, 2048, 1024),
        (3, 128, 256, 16),
        pytest.param(2, 32, 4096, 512, marks=pytest.mark.long),
        pytest.param(5, 64, 512, 64, marks=pytest.mark.long),
    ],
)
def test_axi_read(client_count, data_bytes, burst_bytes, buffer_rows, run_dir):
    sizes = {
        "client_count": client_count,
        "data_bytes": data_bytes,
        "burst_bytes": burst_bytes,
        "buffer_rows": buffer_rows,
    }
    simulate(
        AxiRead(**sizes),
        name="axi_read",
        testbench="tb.dma.axi_read_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("client_count", 1),
        ("data_bytes", 16),
        ("burst_bytes", 4096),
        ("burst_bytes", 300),
        ("buffer_rows", 64),
        ("buffer_rows", 192),
    ],
)
def test_refuses(wrong, value):
    sizes = {"client_count": 2, "data_bytes": 8, "burst_bytes": 256, "buffer_rows": 128}
    with pytest.raises(ValueError, match=f"{wrong} must be .* {value}"):
        AxiRead(**{**sizes, wrong: value})


def test_model_by_hand():
    """Three bytes before a block of 256 to two behind it, of which a beat fails."""
    request = ReadRequest(0x1FD, 5, tag=3)
    assert axi_read_bursts(request, data_bytes=8, burst_bytes=256) == [
        AxiBurst(0x1F8, 1),
        AxiBurst(0x200, 1),
    ]
    answer = axi_answer(
        request,
        data_bytes=8,
        memory=lambda address, length: bytes(range(address & 255, (address & 255) + length)),
        resp={0x1F8: 0, 0x200: 3}.__getitem__,
    )
    assert answer == Answer(bytes([0xFD, 0xFE, 0xFF, 0, 0]), 3, 1)
