"""Rate of hdl.dma.Endpoint."""

from hdl.dma import Endpoint
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "endpoint",
        "card400",
        lambda: Endpoint(
            segment_count=4,
            max_payload_bytes=512,
            # Of the partner's credits, as many as a round trip through both ends needs.
            credits=((120, 1024), (32, 32), (120, 1024)),
        ),
        "tb.dma.endpoint_rate_tb",
        {"SEGMENT_COUNT": 4, "MAX_PAYLOAD_BYTES": 512, "DATA_BYTES": 128},
    )
]
