"""Rate and latency of hdl.roce.Engine."""

import json
from dataclasses import asdict

from tb.bench import PROFILES, Bench

from .parsed_responder import ParsedEngine
from .sizes import talking

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "roce_engine",
        profile,
        # The simulation that the tests of the engine run, too.
        lambda profile=profile: ParsedEngine(config=talking(PROFILES[profile])),
        "tb.roce.engine_rate_tb",
        {
            "DATA_BYTES": PROFILES[profile],
            "ROCE_CONFIG": json.dumps(asdict(talking(PROFILES[profile]))),
        },
    )
    for profile in PROFILES
]
