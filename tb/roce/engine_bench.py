"""Rate and latency of hdl.roce.Engine."""

import json
from dataclasses import asdict

from tb.bench import PROFILES, Bench

from .parsed_responder import ParsedEngine
from .sizes import talking

__all__ = ["BENCHES"]

#: The width that the tests of the engine simulate, too: of the others the device is made only here.
_TESTED = "card100"

BENCHES = [
    Bench(
        "engine",
        profile,
        lambda profile=profile: ParsedEngine(config=talking(PROFILES[profile])),
        "tb.roce.engine_rate_tb,tb.roce.engine_goodput_tb",
        {
            "DATA_BYTES": PROFILES[profile],
            "ROCE_CONFIG": json.dumps(asdict(talking(PROFILES[profile]))),
        },
        is_long=profile != _TESTED,
    )
    for profile in PROFILES
]
