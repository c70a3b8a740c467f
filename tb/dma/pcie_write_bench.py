"""Rate of hdl.dma.PcieWrite."""

from hdl.dma import PcieWrite
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "pcie_write",
        "card400",
        lambda: PcieWrite(client_count=4, segment_count=4),
        "tb.dma.pcie_write_rate_tb",
        {"CLIENT_COUNT": 4, "SEGMENT_COUNT": 4, "DATA_BYTES": 128},
    )
]
