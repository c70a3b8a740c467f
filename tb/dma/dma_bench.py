"""Rate of hdl.dma.Dma."""

from hdl.dma import Dma
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "dma",
        "card400",
        lambda: Dma(
            data_bytes=128,
            client_count=4,
            tag_count=256,
            slot_bytes=512,
            # Completions of 256 bytes for 1 us of Gen5 x16: 63 KB, so 248 headers, 3940 units of
            # data; and as much time again for half of the headers, where the host splits more.
            credits=((127, 1024), (32, 32), (508, 4096)),
        ),
        "tb.dma.dma_rate_tb",
        {"DATA_BYTES": 128, "CLIENTS": 4},
    )
]
