"""AxiDma: its cocotb testbench."""

import pytest

from hdl.dma import AxiDma
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("client_count", "data_bytes", "burst_bytes", "buffer_rows"), [(2, 32, 1024, 128)]
)
def test_axi_dma(client_count, data_bytes, burst_bytes, buffer_rows, run_dir):
    sizes = {
        "client_count": client_count,
        "data_bytes": data_bytes,
        "burst_bytes": burst_bytes,
        "buffer_rows": buffer_rows,
    }
    simulate(
        AxiDma(**sizes),
        name="axi_dma",
        testbench="tb.dma.axi_dma_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )
