"""Rate of hdl.pcie.Switch."""

from hdl.pcie import Switch
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "switch",
        "card400",
        lambda: Switch(ports=4, segments=4),
        "tb.pcie.switch_rate_tb",
        {"PORTS": 4, "SEGMENTS": 4, "DATA_BYTES": 128},
    )
]
