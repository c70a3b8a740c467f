"""Rate of hdl.dma.ReadRequester."""

from hdl.dma import ReadRequester
from tb.bench import Bench

__all__ = ["BENCHES"]

_SIZES = {"client_count": 4, "tag_count": 256, "slot_bytes": 4096, "reserve": 8}

BENCHES = [
    Bench(
        "read_requester",
        "card400",
        lambda: ReadRequester(segment_count=4, **_SIZES),
        "tb.dma.read_requester_rate_tb",
        {
            "DATA_BYTES": 128,
            "SEGMENT_COUNT": 4,
            **{name.upper(): value for name, value in _SIZES.items()},
        },
    )
]
