"""Rate of hdl.stream.PacketQueue.

The output is never refused, so the memory holds at most the longest packet and one beat more:
9014 bytes are 1127, 141 and 71 beats of 8, 64 and 128 bytes.
"""

from hdl.stream import PacketQueue
from tb.bench import FRAME_LENGTHS, PROFILES, Bench

__all__ = ["BENCHES"]


def longest_and_one(data_bytes: int) -> int:
    """Rows that the longest packet needs, and one more."""
    return -(-max(FRAME_LENGTHS) // data_bytes) + 1


BENCHES = [
    Bench(
        "packet_queue",
        profile,
        lambda data_bytes=data_bytes: PacketQueue(
            data_bytes=data_bytes, depth=longest_and_one(data_bytes)
        ),
        "tb.stream.rate_tb",
        {"DATA_BYTES": data_bytes, "INPUTS": "i", "OUTPUTS": "o", "STORE_AND_FORWARD": 1},
    )
    for profile, data_bytes in PROFILES.items()
]
