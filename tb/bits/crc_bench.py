"""Rate of hdl.bits.Crc."""

from hdl.bits import Crc
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

NAME = "CRC32_ETHERNET"

BENCHES = [
    Bench(
        "crc",
        profile,
        lambda data_bytes=data_bytes: Crc(algorithm=NAME, data_bytes=data_bytes),
        "tb.bits.beats_rate_tb",
        {
            "DATA_BYTES": data_bytes,
            "MODEL": NAME,
        },
    )
    for profile, data_bytes in PROFILES.items()
]
