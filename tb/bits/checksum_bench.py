"""Rate of hdl.bits.InternetChecksum."""

from hdl.bits import InternetChecksum
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "checksum",
        profile,
        lambda data_bytes=data_bytes: InternetChecksum(data_bytes=data_bytes),
        "tb.bits.beats_rate_tb",
        {
            "DATA_BYTES": data_bytes,
            "MODEL": "checksum",
        },
    )
    for profile, data_bytes in PROFILES.items()
]
