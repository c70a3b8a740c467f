"""Rate of hdl.stream.Downsizer, between half and the whole width of the cards' beats."""

from hdl.stream import Downsizer
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "downsizer",
        profile,
        lambda data_bytes=data_bytes: Downsizer(i_bytes=data_bytes, o_bytes=data_bytes // 2),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": "i", "OUTPUTS": f"o/{data_bytes // 2}"},
    )
    for profile, data_bytes in PROFILES.items()
    if profile != "proto"  # whose many small beats only cost time
]
