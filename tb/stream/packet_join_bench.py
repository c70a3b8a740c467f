"""Rate of hdl.stream.PacketJoin."""

from hdl.stream import PacketJoin
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "packet_join",
        profile,
        lambda data_bytes=data_bytes: PacketJoin(data_bytes=data_bytes),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": "a,b", "OUTPUTS": "o"},
    )
    for profile, data_bytes in PROFILES.items()
]
