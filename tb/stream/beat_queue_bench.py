"""Rate of hdl.stream.BeatQueue."""

from hdl.stream import BeatQueue
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "beat_queue",
        profile,
        lambda data_bytes=data_bytes: BeatQueue(data_bytes=data_bytes, depth=512),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": "i", "OUTPUTS": "o"},
    )
    for profile, data_bytes in PROFILES.items()
]
