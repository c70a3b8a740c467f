"""Rate of hdl.dma.Msix."""

from hdl.dma import Msix
from tb.bench import Bench

__all__ = ["BENCHES"]

_SIZE = {"vector_count": 256, "data_bytes": 128, "tick_cycles": 250, "interval_bits": 12}

BENCHES = [
    Bench(
        "msix",
        "card400",
        lambda: Msix(**_SIZE),
        "tb.dma.msix_rate_tb",
        {name.upper(): value for name, value in _SIZE.items()},
    )
]
