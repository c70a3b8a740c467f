"""Rate of hdl.dma.ReadDelivery."""

from hdl.dma import ReadDelivery
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "read_delivery",
        "card400",
        lambda: ReadDelivery(client_count=4, segment_count=4, tag_count=256, slot_bytes=512),
        "tb.dma.read_delivery_rate_tb",
        {
            "CLIENT_COUNT": 4,
            "SEGMENT_COUNT": 4,
            "TAG_COUNT": 256,
            "SLOT_BYTES": 512,
            "DATA_BYTES": 128,
        },
    )
]
