"""Rate of hdl.stream.HeaderInsert."""

from hdl.stream import HeaderInsert
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "header_insert",
        profile,
        lambda data_bytes=data_bytes: HeaderInsert(data_bytes=data_bytes, max_header_bytes=74),
        "tb.stream.header_rate_tb",
        {"DATA_BYTES": data_bytes, "SIDE": "headers", "MAX_HEADER_BYTES": 74},
    )
    for profile, data_bytes in PROFILES.items()
]
