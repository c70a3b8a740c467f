"""Rates of hdl.dma.AxiDma."""

from hdl.dma import AxiDma
from tb.bench import Bench

__all__ = ["BENCHES"]

_SIZES = {"client_count": 4, "data_bytes": 128, "burst_bytes": 1024, "buffer_rows": 256}

BENCHES = [
    Bench(
        "axi_dma",
        "card400",
        lambda: AxiDma(**_SIZES),
        "tb.dma.axi_dma_rate_tb",
        {name.upper(): value for name, value in _SIZES.items()},
    )
]
