"""Rate of hdl.stream.PacketMux."""

from hdl.stream import PacketMux
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "packet_mux",
        profile,
        lambda data_bytes=data_bytes: PacketMux(port_count=2, data_bytes=data_bytes),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": "i__0,i__1", "OUTPUTS": "o"},
    )
    for profile, data_bytes in PROFILES.items()
]
