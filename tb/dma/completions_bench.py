"""Rate of hdl.dma.Completions."""

from hdl.dma import Completions
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "completions",
        "card400",
        lambda: Completions(segment_count=4, tag_count=256, slot_bytes=512),
        "tb.dma.completions_rate_tb",
        {"SEGMENT_COUNT": 4, "TAG_COUNT": 256, "SLOT_BYTES": 512, "DATA_BYTES": 128},
    )
]
