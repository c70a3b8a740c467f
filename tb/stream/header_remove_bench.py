"""Rate of hdl.stream.HeaderRemove."""

from hdl.stream import HeaderRemove
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "header_remove",
        profile,
        lambda data_bytes=data_bytes: HeaderRemove(data_bytes=data_bytes, max_header_bytes=74),
        "tb.stream.header_rate_tb",
        {"DATA_BYTES": data_bytes, "SIDE": "lengths", "MAX_HEADER_BYTES": 74},
    )
    for profile, data_bytes in PROFILES.items()
]
