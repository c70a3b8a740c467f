"""Rate of hdl.stream.Upsizer, between half and the whole width of the cards' beats."""

from hdl.stream import Upsizer
from tb.bench import PROFILES, Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "upsizer",
        profile,
        lambda data_bytes=data_bytes: Upsizer(i_bytes=data_bytes // 2, o_bytes=data_bytes),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": f"i/{data_bytes // 2}", "OUTPUTS": "o"},
    )
    for profile, data_bytes in PROFILES.items()
    if profile != "proto"  # whose many small beats only cost time
]
